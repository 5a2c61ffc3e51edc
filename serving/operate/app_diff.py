"""What a change of app.toml will do: against what the last training, and the current release, were made with.

Every consequence is read off the same functions that act on it later (features/build.py, models/ope/prequential.py,
models/same_features.py); docs of each are in features/README.md, "Changing app.toml".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from croupier.features import build
from croupier.features.build import meta_of
from croupier.features.clock import now as clock_now
from croupier.features.interactions import hours, window
from croupier.features.reference import declaration
from croupier.features.spec import AppSpec
from croupier.features.utc import HOUR, YEAR_2100, from_us, hour_start
from croupier.features.workspace import Workspace
from croupier.models import choosing, retraining, same_features
from croupier.models.same_features import Serving

FEATURES = ("context.", "arm.", "arm_context.", "interactions")
Changes = Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class Diff:
    """`since` names what is compared with, "" where nothing was made yet. `effects` are sentences; `blocked` says why
    trainings will be refused, "" where they go on; `serves_on` is the release that serves on, whatever the change."""

    since: str
    changes: dict[str, tuple[Any, Any]]
    effects: tuple[str, ...]
    blocked: str
    serves_on: int | None
    begins_anew: bool


def diff(w: Workspace) -> Diff:
    """Raises SpecError where app.toml is not valid, whether there is an earlier one or not."""
    declared = w.spec
    now, trained = same_features.serving(w), window.last_features(w.store)
    since, was = _before(w, now, trained)
    changes = declaration.changes(was, declared) if was else {}
    features = _of_features(w, changes, now)
    blocked = _blocked(w, now) if features else ""
    anew = _begins_anew(w, features)
    effects = (*_features(w, changes, now, features), *_candidates(w, anew), *_reward(w, changes), *_rest(changes))
    return Diff(
        since=since,
        changes=changes,
        effects=effects,
        blocked=blocked,
        begins_anew=anew,
        serves_on=now.number if now else None,
    )


def _before(w: Workspace, now: Serving | None, trained: str) -> tuple[str, AppSpec | None]:
    """The newest declaration that something was made with."""
    made = now.meta.get("features", "") if now else ""
    for key, what in ((trained, "the last training"), (made, f"release {now.number}" if now else "")):
        try:
            meta = meta_of(w.store, key) if key else {}
        except KeyError:  # deleted by retention
            continue
        if (found := declaration.read(meta.get("spec"))) is not None:
            return what, found
    return "", None


def _of_features(w: Workspace, changes: Changes, now: Serving | None) -> bool:
    """True if the next encoding fits another encoder than the one in use."""
    named = any(key.startswith(FEATURES) for key in changes)
    return named or bool(now and now.reads_features and now.meta.get("declared") != build.declared(w.spec))


def _blocked(w: Workspace, now: Serving | None) -> str:
    if now is None or not now.reads_features or now.meta.get("declared") == build.declared(w.spec):
        return ""
    return (
        f"the champion of release {now.number}, {now.champion}, reads the features as they were and cannot be "
        f"judged on others: train_and_gate will fail in `plan`. Take the change back, or "
        f"{same_features.way_out(w)}"
    )


def _begins_anew(w: Workspace, features: bool) -> bool:
    process = retraining.read_process(w)
    if process is None:
        return False
    return features or set(process.candidates) != choosing.names(w)


def _features(w: Workspace, changes: Changes, now: Serving | None, changed: bool) -> Iterator[str]:
    if not changed:
        return
    seen = window.window(w.store, w.spec, now=clock_now())
    yield (
        f"features: the next training fits a new encoder and encodes its whole window anew ({seen.rows:,} rows of "
        f"{len(seen.hours)} hours now); joined hours stay as they are"
    )
    for name in sorted(_features_that(changes, added=True)):
        yield (
            f"{name} is new: rows logged so far have no value of it, which counts as missing; a release made before "
            "refuses requests that carry it, so send it once a release with it serves"
        )
    for name in sorted(_features_that(changes, added=False)):
        yield f"{name} is gone: models trained from now on do not see it; requests may carry it until the next release"
    if now is not None:
        yield f"release {now.number} serves on: it has its own encoder, catalogue and models"


def _features_that(changes: Changes, *, added: bool) -> set[str]:
    types = {key.removesuffix(".type"): found for key, found in changes.items() if key.endswith(".type")}
    return {
        name
        for name, (was, now) in types.items()
        if name.startswith(FEATURES) and (was is None if added else now is None)
    }


def _candidates(w: Workspace, anew: bool) -> Iterator[str]:
    process = retraining.read_process(w)
    if process is None or not anew:
        return
    came = sorted(choosing.names(w) - set(process.candidates))
    went = sorted(set(process.candidates) - choosing.names(w))
    names = ", ".join([*(f"+{name}" for name in came), *(f"−{name}" for name in went)]) or "the same families"
    yield (
        f"judging begins anew ({names}, against {process.champion}): gate.alpha is whole again, and "
        "evidence gathered since the process began counts no more"
    )


def _reward(w: Workspace, changes: Changes) -> Iterator[str]:
    named = [key for key in changes if key.startswith("reward.")]
    if not named:
        return
    joined = hours.sound(w.store, start=from_us(0), end=from_us(YEAR_2100 - 1))
    if joined:
        first, after = (
            from_us(hour_start(min(joined))).isoformat(),
            from_us(hour_start(max(joined)) + HOUR).isoformat(),
        )
        conf = orjson.dumps({"app": w.settings.app, "start": first, "end": after}).decode()
        yield (
            f"reward: {len(joined)} joined hours ({min(joined)} to {max(joined)}, UTC) keep the reward they were "
            f"joined with; judging goes on and would mix both. Run build_features by hand from {first} to {after}, "
            f"which joins them anew: airflow dags trigger build_features --run-id {w.settings.app}__reward "
            f"--conf '{conf}'"
        )
    yield "reward: a running Triton learns (fast_loop) by the new rule once a release is loaded or it is started again"


def _rest(changes: Changes) -> Iterator[str]:
    for prefix, effect in (
        ("requests.", "holds at once, wherever this app.toml is read; elsewhere from the next release on"),
        ("policies.parameters", "the next training uses them; the family's judging goes on"),
        ("policies.floor", "served from the next release on; the current one keeps its own"),
        ("policies.toward_candidate", "holds from the next verdict on; the current release keeps its own"),
        ("arms.source", "served from the next release on; the current one keeps its own"),
        ("rules", "served from the next release on, or at once by `croupier constraints release`"),
        ("constraints", "served from the next release on, or at once by `croupier constraints release`"),
        ("pricing", "served from the next training's release on; joined rewards stay as they are"),
        ("slates", "served from the next release on, or at once by `croupier constraints release`"),
        ("safety", "served from the next release on, or at once by `croupier constraints release`"),
        ("policies.fast_loop", "takes effect when Triton is started again"),
        ("training.", "holds from the next scheduled run on"),
        ("gate.", "holds from the next verdict on"),
        ("refresh.", "holds from the next verdict on; a refresh that climbs keeps its stages"),
        ("rollout.stages", "holds from the next release on; a running rollout keeps its stages"),
        ("rollout.", "holds from the next look on, also for a running rollout"),
    ):
        keys = [key for key in changes if key.startswith(prefix)]
        if prefix == "rollout.":
            keys = [key for key in keys if not key.startswith("rollout.stages")]
        if keys:
            yield f"{', '.join(keys)}: {effect}"
