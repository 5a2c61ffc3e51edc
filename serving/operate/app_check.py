"""What an app's declaration means here and now: what serves, what can be trained, what the next scheduled runs will do.

Nothing is changed by looking.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from croupier.features.declared.policies import PoliciesSpec
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions import hours, window
from croupier.features.schema import FROM_CATALOGUE, NO_STAGE, Arm
from croupier.features.spec import RolloutSpec, SpecError
from croupier.features.spec_values import SafetySpec, seconds_of
from croupier.features.store import layout
from croupier.features.utc import from_us
from croupier.features.workspace import Workspace
from croupier.models import same_features
from croupier.models.policy import make
from croupier.serving.constraints import understood
from croupier.serving.release import rollout_store
from croupier.serving.release.exploration import kept_baseline
from croupier.serving.release.stage_rule import least_seconds
from croupier.serving.retrieval import retriever
from croupier.serving.triton import server


@dataclass(frozen=True, kw_only=True)
class AppCheck:
    """`problems` are what keeps the app from working, each a sentence; `facts` is plain JSON."""

    facts: dict[str, Any]
    problems: tuple[str, ...]


def check(w: Workspace, *, now: datetime) -> AppCheck:
    """Raises SpecError where app.toml is not valid: then nothing more can be said."""
    spec, problems = w.spec, list[str]()
    arms = _arms(w, problems)
    problems += [f"policies.candidates: {why}" for why in _untrainable(spec.policies)]
    problems += _hurried(spec.rollout)
    features = {scope: len(getattr(spec, scope)) for scope in ("context", "arm", "arm_context")}
    facts = {
        "app": w.settings.app, "app_toml": str(w.home / layout.APP_TOML), "arms": len(arms), "features": features,
        "candidates": list(spec.policies.candidates), "server": _server(w), "release": _release(w),
        "next": _next(w, now), "constraints": _constraints(w, arms, problems),
    }  # fmt: skip
    return AppCheck(facts=facts, problems=tuple(problems))


def _arms(w: Workspace, problems: list[str]) -> Sequence[Arm]:
    """Those of catalogue.json, none where they do not fit the declaration."""
    try:
        arms = w.arms()
        Encoder.empty(w.spec, arms)
    except (OSError, ValueError, KeyError) as error:
        problems.append(f"catalogue.json, or app.toml with it: {error}")
        return ()
    if not arms and w.spec.arms.source == FROM_CATALOGUE:
        problems.append("catalogue.json: found no arm, expected one at least")
    return arms


def _constraints(w: Workspace, arms: Sequence[Arm], problems: list[str]) -> list[str]:
    """What is understood of rules, constraints, prices and retrieval, a sentence each; what does not fit was told."""
    spec = w.spec
    if not (
        spec.ruling
        or spec.constraints
        or spec.safety != SafetySpec()
        or spec.retrieval.declared
        or spec.pricing.declared
    ):
        return []
    try:
        problems += [*understood.problems(spec, arms), *retriever.problems(spec.retrieval, arms)] if arms else []
        problems += kept_baseline.problems(w.store, spec.safety)
        indexed = len(retriever.indexed(arms))
        return [*understood.sentences(spec, arms), *retriever.sentences(spec.retrieval, indexed)]
    except (OSError, ValueError):
        return []


def _untrainable(policies: PoliciesSpec) -> list[str]:
    found = list[str]()
    for name in () if policies.auto else policies.candidates:
        try:
            make(name, **policies.parameters.get(name, {}))
        except (TypeError, ValueError) as error:
            found.append(f"{name}: {error}")
    unused = set(policies.parameters) - set(policies.candidates)
    return found + [f"policies.parameters.{name}: found no candidate of that name" for name in sorted(unused)]


def _hurried(rollout: RolloutSpec) -> list[str]:
    """Why no rollout could ever reach everybody in time."""
    least = least_seconds(rollout)
    if rollout.max_seconds >= least:
        return []
    expected = f"{least:g} at least: a season of {rollout.season} in each stage, two in the last (rollout.season)"
    return [f"rollout.max_seconds: found {rollout.max_seconds:g}, expected {expected}"]


def _server(w: Workspace) -> dict[str, Any] | None:
    record = server.running(w.home)
    return None if record is None else {"pid": record["pid"], "ports": record["ports"]}


def _release(w: Workspace) -> dict[str, Any] | None:
    now, state = same_features.serving(w), rollout_store.read_state(w.store)
    if now is None:
        return None
    return {
        "number": now.number,
        "champion": now.champion,
        "stage": state.stage if state else NO_STAGE,
        "share": state.share if state else 0.0,
    }


def _next(w: Workspace, now: datetime) -> dict[str, Any]:
    """What build_features and train_and_gate do at their next scheduled run, if it were now."""
    waiting = hours.due(w.store, w.spec, now=now)
    seen = window.window(w.store, w.spec, now=now)
    due = window.due(w.store, w.spec, seen, now=now)
    return {
        "hours": len(waiting),
        "window_hours": len(seen.hours),
        "window_rows": seen.rows,
        "training": due,
        "why_not": "" if due else _why_not(w, seen, now),
    }


def _why_not(w: Workspace, seen: window.Window, now: datetime) -> str:
    least = max(w.spec.training.min_rows, 2)
    if seen.rows < least:
        return f"{seen.rows:,} matured rows in sound hours, and training.min_rows asks for {least:,}"
    ended = window.last_training(w.store)
    if not ended:
        return "the first training has begun and came to no verdict yet"
    if not window.new_rows(seen, ended):
        return "no new row since the last training"
    at = from_us(ended["at"]) + timedelta(seconds=seconds_of(w.spec.training.every))
    return f"by time the next one is due at {at:%Y-%m-%d %H:%M} UTC" if at > now else "another training runs"


def sentences(found: AppCheck) -> list[str]:
    """The facts in words, for people."""
    f, more = found.facts, found.facts["next"]
    ports = f["server"] and f["server"]["ports"]
    release = f["release"]
    training = f"yes: {more['training']}" if more["training"] else f"no: {more['why_not']}"
    return [
        f"{f['app_toml']} is valid: {f['arms']} arms; features: {_counted(f['features'])}",
        f"server: gRPC {ports['grpc']}, HTTP {ports['http']}, metrics {ports['metrics']}"
        if ports
        else "server: no Triton runs here (`croupier serve up`); a gateway or an Embedded follows releases by itself",
        "release: none yet; the first training that comes to a verdict publishes one"
        if release is None
        else f"release: {release['number']}, champion {release['champion']}, candidate on {release['share']:.0%} of units "  # noqa: E501
        f"({release['stage']})",
        f"candidates: {', '.join(f['candidates'])}",
        *f["constraints"],
        f"the next build_features joins and validates {more['hours']} hours",
        f"the training window has {more['window_rows']:,} rows of {more['window_hours']} sound hours",
        f"a training is due: {training}",
    ]


def _counted(features: dict[str, int]) -> str:
    return ", ".join(f"{n} in [{scope}]" for scope, n in features.items())


def invalid(error: SpecError) -> AppCheck:
    """Returns what there is to say of a declaration that cannot be read."""
    return AppCheck(facts={}, problems=(str(error),))
