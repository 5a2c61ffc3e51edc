"""The reward rule: what the rewards of one decision come to. This is the reference, one decision at a time.

    a reward belongs to a decision   −CLOCK_SKEW_US ≤ at − decided_at ≤ LOOKBACK_US, both ends included; else: orphan
    of equal ones the first counts   by ORDER; equal: the same reward id, or, without one, the same kind and value
    it counts                        while at ≤ decided_at + window, that moment included; else: late
    reward                           Σ_kinds weight · clip(how(values of that kind)), or `default` where none counts;
                                     of a sold kind times the margin of the arm shown, NaN where nobody knows that

All times are UTC microseconds. Clocks differ, so a reward may be stamped before its decision, by one hour at most; it
counts like one that came at the decision's moment. A reward stamped 1.96 h before a decision is not that decision's.

The fast loop (serving/learning/learning_steps.py) calls this file. The join needs the same for millions of rewards at
once: features/interactions/reward_columns.py. tests/features/interactions/test_one_rule.py holds both to be the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import nan
from typing import Literal, Protocol

from croupier.features.schema import Reward
from croupier.features.utc import HOUR, us_of

CLOCK_SKEW_US = HOUR  # a reward may be stamped this much before its decision
LOOKBACK_US = 30 * 24 * HOUR  # and this much after it; the longest reward window

Fate = Literal["on_time", "late", "duplicate", "orphan"]

# Ties in time are broken by content, so the result does not depend on the order of arrival.
ORDER = ("event_id", "at", "kind", "value", "reward_id")

HOW: dict[str, Callable[[Sequence[float]], float]] = {
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "max": max,
    "sum": sum,
}


class Kind(Protocol):
    """How rewards of one kind count: KindSpec of features/spec.py, whose library those who only call do without."""

    @property
    def how(self) -> str:
        """How several values become one: a key of HOW."""

    @property
    def weight(self) -> float:
        """What one unit of this kind adds to the reward."""

    @property
    def sold(self) -> bool:
        """Whether its values count sales."""

    @property
    def clip(self) -> tuple[float, float] | None:
        """The ends to which the one value is cut, before it is weighted; None: it is not."""


class Declared(Protocol):
    """What an app declares of its reward: RewardSpec of features/spec.py."""

    @property
    def window_seconds(self) -> float:
        """How long after a decision a reward still counts."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kinds that add to the reward, by name."""


def window_us(spec: Declared) -> int:
    """The length of the reward window in microseconds."""
    return us_of(spec.window_seconds)


def in_reach(at: int, decided_at: int) -> bool:
    """Whether a reward stamped `at` may belong to a decision made at `decided_at`."""
    return -CLOCK_SKEW_US <= at - decided_at <= LOOKBACK_US


def on_time(at: int, decided_at: int, window: int) -> bool:
    """Whether a reward stamped `at` counts for a decision made at `decided_at`, whose window is `window` µs long."""
    return in_reach(at, decided_at) and at <= decided_at + window


def fates(rewards: Iterable[Reward], decided_at: int, window: int) -> Iterator[tuple[Reward, Fate]]:
    """Yields each reward that bears the decision's event id, by ORDER, with what becomes of it."""
    seen = set()
    for reward in sorted(rewards, key=lambda r: (r.at, r.kind, r.value, r.reward_id)):
        if not in_reach(reward.at, decided_at):
            yield reward, "orphan"
        elif (same := _identity(reward)) in seen:
            yield reward, "duplicate"
        else:
            seen.add(same)
            yield reward, "on_time" if on_time(reward.at, decided_at, window) else "late"


def counted(rewards: Iterable[Reward], decided_at: int, spec: Declared) -> list[Reward]:
    """Returns the rewards that make the decision's number, by ORDER: on time, each once, of a kind that adds to it."""
    known = fates(rewards, decided_at, window_us(spec))
    return [reward for reward, fate in known if fate == "on_time" and reward.kind in spec.kinds]


def combined(rewards: Iterable[Reward], decided_at: int, spec: Declared, margin: str = "") -> float | None:
    """Returns the number that the rewards of one decision make, or None where none of them counts: then it comes to
    `spec.default` as soon as its window has closed. `margin`: that of its arm, as the decision says it."""
    found = counted(rewards, decided_at, spec)
    if not found:
        return None
    if not margin and any(kind.sold for kind in spec.kinds.values()):
        return nan
    each = float(margin or 1.0)
    parts = {name: _part([r.value for r in found if r.kind == name], kind) for name, kind in spec.kinds.items()}
    return sum(part * each if spec.kinds[name].sold else part for name, part in parts.items())


def _part(values: list[float], kind: Kind) -> float:
    if not values:
        return 0.0
    one = HOW[kind.how](values)
    return kind.weight * (one if kind.clip is None else min(max(one, kind.clip[0]), kind.clip[1]))


def _identity(reward: Reward) -> tuple[str, str, float]:
    return (reward.reward_id, "", 0.0) if reward.reward_id else ("", reward.kind, reward.value)
