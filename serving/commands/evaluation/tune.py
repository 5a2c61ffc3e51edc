"""`croupier tune`: parameters that the app's own log prefers, beside the default and random search at equal budget."""

import math
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from croupier.serving.commands.telling import App, Out, prepared, to_stdout, written

app = typer.Typer()
console = Console(soft_wrap=True, highlight=False, markup=False)
Name = Annotated[str, typer.Argument(help="the app, as --app names it")]
Policy = Annotated[str, typer.Option(help="whose parameters: vw_cb_adf, lin_ts, lin_ucb, neural_linear; auto: of all")]
Trials = Annotated[int, typer.Option(min=3, max=1000, help="configurations that the first rung tries")]
Cold = Annotated[bool, typer.Option("--cold", help="begin without what earlier tunings came to")]
Search = Annotated[str, typer.Option(help="halving, or gp: a Gaussian process, of the extra [tune]")]
Key = Annotated[str, typer.Option("--features", help="key of encoded features; empty: the newest of the app")]


@app.command("tune")
def _tune(
    ctx: typer.Context,
    name: Name = "",
    *,
    policy: Policy = "auto",
    trials: Trials = 27,
    features: Key = "",
    cold: Cold = False,
    search: Search = "halving",
    app: App = "default",
    out: Out = None,
) -> None:
    """Parameters, and policies, that the app's own log prefers, with the lines for app.toml.

    Configurations are tried by successive halving: each learns earlier rows of the training part, and DR on later ones
    says what it would have earned. The default, the best of random search at as many learnt rows and the best by
    halving are then compared on rows that judged none of them. It begins with what came out best on logs that are like
    this one, of this and of other apps below CROUPIER_VAR. The gate's own rows are not looked at: what is pasted
    meets the gate as any candidate. Trials are kept in the store: run again after it was killed, it goes on.

    With --search gp Optuna's Gaussian process (with --policy auto its TPE) proposes each next trial instead of halving,
    for as many learnt rows. It begins cold, and needs the extra: pip install 'croupier[tune]'."""
    from croupier.features.workspace import Workspace

    source = ctx.get_parameter_source("app")
    if name and name != app and source is not None and source.name == "COMMANDLINE":
        raise ValueError(f"app: found {name!r} and --app {app!r}, expected one app; leave one of the two out")
    w = Workspace.known(name or app)
    prepared(out)
    found = _tuned(w, policy, trials, features, cold=cold, search=search)
    if not to_stdout(out):
        _show(found)
    written(out, found)


def _tuned(w: Any, policy: str, trials: int, features: str, *, cold: bool, search: str) -> dict[str, Any]:
    from tqdm import tqdm

    from croupier.serving.readings import tunings

    with tqdm(unit="trial", disable=None) as bar:
        return tunings.tuned(w, policy, trials, features, cold=cold, search=search, done=bar.update, say=_say)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _show(found: dict[str, Any]) -> None:
    columns = "", "configuration", "earns a decision", "more than the default"
    by = f"{found['trials']} trials by {found['search']}"
    title = f"{found['app']}: {by}, {found['random_trials']} at random as costly"
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
        console.print(found["app_toml"])
    else:
        console.print("the default was not beaten on rows that judged none: nothing to paste")


def _with_error(value: float, error: float, sign: str = "") -> str:
    return f"{value:{sign}.4f} ± {error:.4f}"
