"""A tuning of an app: configurations that its own log prefers, kept for the next choice of `candidates = "auto"`."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from croupier.features.build import meta_of
from croupier.features.engines.chosen import engine_of
from croupier.features.engines.engine import Results
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.models import choosing
from croupier.models.tuning import earlier_tunings, spaces, trial, tuner, warm_start
from croupier.models.tuning.configuration import Configuration, toml

HALVING, GP = "halving", "gp"


def tuned(
    w: Workspace,
    policy: str,
    trials: int,
    features: str = "",
    *,
    cold: bool = False,
    search: str = HALVING,
    done: Callable[[], object] | None = None,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Tries `trials` configurations of `policy` (auto: of all) on features of this key (empty: the newest), keeps the
    record, and returns what came out, beside the default and random search; `app_toml` has the lines for app.toml.
    `search` by GP tries as many rows' worth by a model of what was tried, and begins cold.
    `done` is called after each trial. Raises ValueError for a policy that the app cannot have, another search, or where
    there are no features, or too few rows."""
    if search not in {HALVING, GP}:
        raise ValueError(f"search: found {search!r}, expected {HALVING} or {GP}")
    allowed, seed = choosing.allowed(w), w.spec.policies.seed
    if policy == "auto":
        configurations = spaces.of_auto(trials, allowed, seed=seed)
    else:
        configurations = spaces.drawn(policy, trials, seed=seed)
        if policy not in allowed:
            raise ValueError(f"policy: found {policy!r}, which this app cannot have, expected {', '.join(allowed)}")
    key = features or newest(w)
    held = trial.fetched(w.settings.app, key, str(w.home)).features
    engine = engine_of(w.settings, Results(w.store, choosing.RESULTS))
    tried = tuner.Tuner(w, key, choosing.judged_from(w, held), engine, compares=True, done=done)
    names = [name for name in allowed if name in spaces.SPACES] if policy == "auto" else [policy]
    warm = not cold and search == HALVING
    begun = _begun(tried, configurations, allowed if policy == "auto" else [policy], say) if warm else configurations
    found = tuner.beside(tried, begun, configurations, names if search == GP else ())
    earlier_tunings.keep(w, key, tried.data, found["rungs"])
    best = Configuration.from_json(found["tuned"])
    asked = {"app": w.settings.app, "features": key, "policy": policy, "search": search}
    return asked | found | {"app_toml": toml([best])}


def _begun(
    tried: tuner.Tuner, cold: Sequence[Configuration], policies: Sequence[str], say: Callable[[str], object]
) -> list[Configuration]:
    """Where the tuning begins, of what is known of others; says so."""
    known, unread = earlier_tunings.known()
    for app, why in unread.items():
        say(f"{app}: its tunings could not be read: {why}")
    found = warm_start.begun(cold, tried.data, [each.only(policies) for each in known])
    if new := len({each.key for each in found} - {each.key for each in cold}):
        apps = ", ".join(sorted({each.app for each in known}))
        say(f"begins with {new} configurations that came out well on like logs ({apps})")
    return found


def newest(w: Workspace) -> str:
    """The key of the app's newest encoded features. Raises ValueError where there are none."""
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


def said(found: dict[str, Any]) -> str:
    """What a tuning came to, in a sentence."""
    best, app = found["tuned"], found["app"]
    parameters = ", ".join(f"{name} {value}" for name, value in best["parameters"].items())
    head = f"{app}: {found['trials']} trials: {best['policy']} ({parameters or 'its defaults'})"
    if "failed" in best:
        return f"{head} failed where it was compared: {best['failed']}"
    if best["lift"] is None:
        return f"{head} earns {best['value']:.4f} ± {best['se']:.4f} a decision; the default could not be compared"
    return f"{head} earns {best['lift']:+.4f} ± {best['lift_se']:.4f} a decision more than the default"
