"""When a watch is looked at, and what the last look saw: `rollout/watch/<release>.json` in the store, named by the
first of its releases.

A look joins the whole watch again. So that weeks of it cost no more than days, the next is due when the watch has grown
by a hundredth: each minute in its first hours, each three hours at its end.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from croupier.features.clock import elapsed
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.features.utc import from_us, to_the_second
from croupier.serving.release.hold_out import until
from croupier.serving.release.rollout_state import RolloutState
from croupier.serving.release.stage_rule import RolloutEvidence

GROWN = 0.01  # of the time watched


def due(store: Store, state: RolloutState, spec: AppSpec, now: int) -> bool:
    """Always at a rollout; at a watch when it has grown enough since the last look, or is over."""
    if not state.kept:
        return True
    last, began = int(latest(store, state.releases[0]).get("at", 0)), state.history[0]["at"]
    over = now >= until(state, spec.rollout) or spec.rollout.holdout == 0
    return over or elapsed(last, now=now) >= GROWN * max(last - began, 0)


def keep(store: Store, state: RolloutState, found: RolloutEvidence, now: int) -> None:
    """Notes what was seen at `now` (UTC µs)."""
    store.put(layout.rollout_watch(state.releases[0]), orjson.dumps({"at": now, "evidence": dict(found.numbers)}))


def latest(store: Store, release: int) -> dict[str, Any]:
    """Returns {"at", "evidence"} of the last look at a release's watch; {} before the first."""
    raw, version = store.read(layout.rollout_watch(release))
    return dict(orjson.loads(raw)) if version is not None else {}


def watched(store: Store, state: RolloutState | None, spec: AppSpec) -> dict[str, Any]:
    """Beside a state, for programs: what is kept back, until when (UTC), what the last look saw; {} at a rollout."""
    if state is None or not state.watched:
        return {}
    ends = from_us(until(state, spec.rollout)).isoformat()
    return {"kept": state.kept, "until": ends, "evidence": latest(store, state.releases[0]).get("evidence", {})}


def told(store: Store, state: RolloutState, spec: AppSpec) -> str:
    """Says for people what is kept back, how much better the release is so far, and until when it is watched."""
    last = latest(store, state.releases[0])
    head = (
        f"watched until {to_the_second(until(state, spec.rollout))} UTC against {state.kept}, "
        f"which {state.share:.4g} of units are served"
    )
    numbers = last.get("evidence", {})
    if "difference" not in numbers:
        return f"{head}; no matured decisions of both sides yet"
    return f"{head}; at {to_the_second(last['at'])}: {found(numbers)}"


def found(numbers: Mapping[str, Any]) -> str:
    """How much better or worse a promoted release is than what was kept back, with the interval that holds at every
    look at once."""
    worth = abs(numbers["champion_mean"])
    each = [numbers[name] for name in ("difference", "lower", "upper")]
    middle, low, high = (f"{one / worth:+.1%}" if worth else f"{one:+.5f}" for one in each)
    counts = f"{numbers['candidate_decisions']:,} + {numbers['champion_decisions']:,} decisions compared"
    shown = (
        "shown to be better"
        if numbers["lower"] > 0
        else "shown to be worse"
        if numbers["upper"] < 0
        else "neither better nor worse is shown"
    )
    return f"{middle} [{low}, {high}] of what the hold-out earns, {counts}: {shown}"
