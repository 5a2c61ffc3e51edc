"""`croupier tune`: parameters that the app's own log prefers, beside the default and random search at equal budget."""

import math
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from croupier.serving.commands.telling import App, Out, prepared, to_stdout, written

app = typer.Typer()
console = Console(soft_wrap=True, highlight=False)
Name = Annotated[str, typer.Argument(help="the app, as --app names it")]
Policy = Annotated[str, typer.Option(help="whose parameters: vw_cb_adf, lin_ts, lin_ucb, neural_linear; auto: of all")]
Trials = Annotated[int, typer.Option(min=3, max=1000, help="configurations that the first rung tries")]
Cold = Annotated[bool, typer.Option("--cold", help="begin without what earlier tunings came to")]
Key = Annotated[str, typer.Option("--features", help="key of encoded features; empty: the newest of the app")]


@app.command("tune")
def _tune(
    name: Name = "",
    *,
    policy: Policy = "auto",
    trials: Trials = 27,
    features: Key = "",
    cold: Cold = False,
    app: App = "default",
    out: Out = None,
) -> None:
    """Parameters, and policies, that the app's own log prefers, with the lines for app.toml.

    Configurations are tried by successive halving: each learns earlier rows of the training part, and DR on later ones
    says what it would have earned. The default, the best of random search at as many learnt rows and the best by
    halving are then compared on rows that judged none of them. It begins with what came out best on logs that are like
    this one, of this and of other apps below CROUPIER_VAR. The gate's own rows are not looked at: what is pasted
    meets the gate as any candidate. Trials are kept in the store: run again after it was killed, it goes on."""
    from croupier.features.workspace import Workspace

    w = Workspace.known(name or app)
    prepared(out)
    found = _tuned(w, policy, trials, features, cold=cold)
    if not to_stdout(out):
        _show(found)
    written(out, found)


def _tuned(w: Any, policy: str, trials: int, features: str, *, cold: bool) -> dict[str, Any]:
    from tqdm import tqdm

    from croupier.features.engines.chosen import engine_of
    from croupier.features.engines.engine import Results
    from croupier.models import choosing
    from croupier.models.tuning import earlier_tunings, spaces, trial, tuner
    from croupier.models.tuning.configuration import Configuration, toml

    allowed, seed = choosing.allowed(w), w.spec.policies.seed
    if policy == "auto":
        configurations = spaces.of_auto(trials, allowed, seed=seed)
    else:
        configurations = spaces.drawn(policy, trials, seed=seed)
        if policy not in allowed:
            raise ValueError(f"policy: found {policy!r}, which this app cannot have, expected {', '.join(allowed)}")
    key = features or newest(w)
    held = trial.fetched(w.settings.app, key, str(w.home)).features
    with tqdm(unit="trial", disable=None) as bar:
        tried = tuner.Tuner(
            w,
            key,
            choosing.judged_from(w, held),
            engine_of(w.settings, Results(w.store, choosing.RESULTS)),
            compares=True,
            done=bar.update,
        )
        begun = configurations if cold else _begun(tried, configurations, allowed if policy == "auto" else [policy])
        found = tuner.beside(tried, begun, configurations)
    earlier_tunings.keep(w, key, tried.data, found["rungs"])
    best = Configuration.from_json(found["tuned"])
    return {"app": w.settings.app, "features": key, "policy": policy, **found, "app_toml": toml([best])}


def _begun(tried: Any, cold: list[Any], policies: list[str]) -> list[Any]:
    """Where the tuning begins, of what is known of others; says so on standard error."""
    from croupier.models.tuning import earlier_tunings, warm_start

    known, unread = earlier_tunings.known()
    for app, why in unread.items():
        print(f"{app}: its tunings could not be read: {why}", file=sys.stderr)
    found = warm_start.begun(cold, tried.data, [each.only(policies) for each in known])
    if new := len({each.key for each in found} - {each.key for each in cold}):
        apps = ", ".join(sorted({each.app for each in known}))
        print(f"begins with {new} configurations that came out well on like logs ({apps})", file=sys.stderr)
    return found


def newest(w: Any) -> str:
    """The key of the app's newest encoded features. Raises ValueError where there are none."""
    from croupier.features.build import meta_of
    from croupier.features.store import layout

    metas = []
    for key in {found.split("/")[1] for found in w.store.list(layout.features(""))}:
        with suppress(KeyError):  # deleted by retention meanwhile
            metas.append(meta_of(w.store, key))
    if not metas:
        raise ValueError(
            f"features: found none of app {w.settings.app}, expected an encoded log; collect decisions with their "
            "rewards, then run `croupier turn` (or build_features)"
        )
    return str(max(metas, key=lambda meta: (meta["end"], meta["split_at"], meta["features"]))["features"])


def _show(found: dict[str, Any]) -> None:
    columns = "", "configuration", "earns a decision", "more than the default"
    title = f"{found['app']}: {found['trials']} trials by halving, {found['random_trials']} at random as costly"
    table = Table(*columns, title=title)
    for name in ("default", "random", "tuned"):
        each = found[name]
        said = ", ".join([each["policy"], *(f"{key} {value}" for key, value in each["parameters"].items())])
        if "failed" in each:
            table.add_row(name, said, f"failed: {each['failed']}", "")
            continue
        lift = "" if name == "default" or each["lift"] is None else _with_error(each["lift"], each["lift_se"], "+")
        table.add_row(name, said, _with_error(each["value"], each["se"]), lift)
    console.print(table)
    if (found["tuned"].get("lift") or -math.inf) > 0:
        console.print("for app.toml; the gate will judge it as any candidate:\n")
        console.print(found["app_toml"], markup=False)
    else:
        console.print("the default was not beaten on rows that judged none: nothing to paste")


def _with_error(value: float, error: float, sign: str = "") -> str:
    return f"{value:{sign}.4f} ± {error:.4f}"
