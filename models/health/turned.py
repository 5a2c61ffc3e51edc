"""Did one segment's tastes turn, or does an arm fade for everybody? Asked arm by arm within each segment.

An arm within a segment with E expected and O observed rewards gains O log(O/E) − O + E nats over "nothing changed", be
it a fall or a rise (Poisson likelihood). A segment that turned over gains them in several of its arms, an arm that
fades in one arm of every segment. Each ratio of its own costs half the logarithm of the rewards it is drawn from
(Schwarz 1978), and E itself is an estimate: with B rewards behind it, a gain counts B/(B + E).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.residuals import Whole, due_sums
from croupier.models.health.season import View

LEAST = 10.0  # rewards behind an expectation, without which an arm within a segment says nothing
NAMED = 3  # arms in words


@dataclass(frozen=True)
class Turned:
    """A segment whose arms changed: nats of evidence, what it got and should have got, which share of that its arms won
    or lost, and the arms in words."""

    segment: str
    gain: float
    moved: float
    found: float
    due: float
    arms: str


def gain(found: float, due: float, behind: float) -> float:
    """Returns the nats that a ratio of its own is worth, less its price. `behind`: rewards that `due` rests on."""
    if due <= 0 or behind < LEAST:
        return 0.0
    nats = (found * np.log(found / due) if found > 0 else 0.0) - found + due
    return float(nats * behind / (behind + due) - 0.5 * np.log(max(found + due, 1.0)))


def turned(view: View, columns: Mapping[str, F64], whole: Whole, since: int) -> Turned | None:
    """Returns the segment whose arms changed most since the `since`-th recent hour; None where none did. `columns`:
    "segment|arm" → (T, 3): n, Σr, Σr²."""
    by_segment: dict[str, list[tuple[str, float, float, float]]] = {}
    for key, sums in columns.items():
        segment = _segment(key, view.history.sums["segment"])
        arm = key.removeprefix(f"{segment}|")
        behind, due = float(view.base(sums)[..., 1].sum()), float(due_sums(view, sums, whole)[since:].sum())
        found = float(view.recent(sums)[since:, 1].sum())
        by_segment.setdefault(segment, []).append((arm, found, due, gain(found, due, behind)))
    made = [_turned(segment, arms) for segment, arms in by_segment.items()]
    return max((m for m in made if m.gain > 0), key=lambda m: m.gain, default=None)


def _segment(key: str, segments: Collection[str]) -> str:
    """Returns the segment of "segment|arm", since both may have a bar of their own."""
    return max((known for known in segments if key.startswith(f"{known}|")), key=len, default=key.rpartition("|")[0])


def _turned(segment: str, arms: list[tuple[str, float, float, float]]) -> Turned:
    changed = sorted((arm for arm in arms if arm[3] > 0), key=lambda arm: -arm[3])
    due = sum(arm[2] for arm in arms)
    said = ", ".join(f"{name} {found / expected - 1:+.0%}" for name, found, expected, _ in changed[:NAMED])
    return Turned(
        segment=segment,
        gain=sum(arm[3] for arm in changed),
        moved=sum(abs(arm[1] - arm[2]) for arm in changed) / max(due, 1e-12),
        found=sum(arm[1] for arm in arms),
        due=due,
        arms=said,
    )
