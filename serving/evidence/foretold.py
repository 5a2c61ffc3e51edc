"""What the gate foretold of each candidate, beside what its rollout found.

A candidate is rolled out because its offline lift looked high, so that over many of them offline lifts are too high on
average (the winner's curse; Lee & Shen 2018, "Winner's Curse: Bias Estimation for Total Effects of Features in Online
Controlled Experiments"). How much is seen here: every rollout that compared anything counts, whatever became of it.
The lift of a family that a scheduled loop retrains is that of its models through time, over what served meanwhile.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import orjson

from croupier.features.store import layout, released
from croupier.features.store.storage import Store
from croupier.serving.release import rollout_store
from croupier.serving.release.rollout_state import RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """What is known of one release from both. `lift`, with its lower and upper bound, is the gate's, reward per
    decision over the champion; `difference`, with its own, is what the rollout had found at its last change. `stage` is
    where the rollout ended, or is."""

    release: int
    kind: str
    stage: str
    lift: float
    lift_lower: float
    lift_upper: float | None
    difference: float
    lower: float
    upper: float


def past(store: Store) -> list[Foretold]:
    """Every release that a verdict made and whose rollout compared something, oldest first."""
    present = rollout_store.read_state(store)
    found = []
    for number in released.numbers(store):
        state = present if present is not None and present.release == number else _ended(store, number)
        pair = state and _pair(store, state)
        found += [pair] if pair else []
    return found


def _ended(store: Store, number: int) -> RolloutState | None:
    try:
        return RolloutState.from_json(store.get(layout.rollout_history(number)))
    except KeyError:
        return None


def _pair(store: Store, state: RolloutState) -> Foretold | None:
    seen = [e["evidence"] for e in state.history if "difference" in e["evidence"]]
    meta = released.manifest(store, state.release)["meta"]
    if state.kept or not seen or not meta.get("features"):
        return None
    try:
        verdict = orjson.loads(store.get(layout.verdict(meta["features"])))
    except KeyError:
        return None  # deleted by retention
    policies = (verdict.get("evaluation") or {}).get("policies", {})
    lift = policies.get(verdict["promoted"], {}).get("lift")
    if not lift:
        return None
    bounds = {"lift": lift["value"], "lift_lower": lift["lower"], "lift_upper": lift["upper"]}
    found = {name: seen[-1][name] for name in ("difference", "lower", "upper")}
    return Foretold(release=state.release, kind=meta.get("kind", ""), stage=state.stage, **bounds, **found)


def told(rows: Sequence[Foretold]) -> dict[str, Any]:
    """The mean of lift − difference over rollouts with its standard error (None of one alone), how many differences lie
    below the gate's lower bound, and the rows."""
    gaps = [row.lift - row.difference for row in rows]
    n, mean = len(gaps), sum(gaps) / max(len(gaps), 1)
    spread = sqrt(sum((gap - mean) ** 2 for gap in gaps) / (n - 1) / n) if n > 1 else None
    below = sum(row.difference < row.lift_lower for row in rows)
    return {
        "rollouts": n, "foretold_too_much": mean, "standard_error": spread, "below_the_gates_bound": below,
        "rows": [asdict(row) for row in rows],
    }  # fmt: skip


def sentence(rows: Sequence[Foretold]) -> str:
    """What there is to know, in one sentence; "" before there is any rollout to compare."""
    if not rows:
        return ""
    known = told(rows)
    error = "" if known["standard_error"] is None else f" (standard error {known['standard_error']:.4f})"
    more = "more" if known["foretold_too_much"] >= 0 else "less"
    return (
        f"Over {len(rows)} rollouts the gate foretold {abs(known['foretold_too_much']):.4f} {more} a decision than "
        f"they found{error}; {known['below_the_gates_bound']} found less than its lower bound."
    )
