"""One row of another system's log, and what every reader of such a log offers (features/exchange)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from croupier.features.exchange.rounded import Rounding
from croupier.features.log.refusals import NotAdmitted
from croupier.features.schema import LEAST_PROPENSITY, ROLES, Arm, Decision, InvalidEvent, Reward
from croupier.features.utc import YEAR_2100

_TEXTS = ("event_id", "unit_id", "policy", "stage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One logged decision and what followed."""

    decision: Decision
    rewards: tuple[Reward, ...] = ()


class Source(Protocol):
    """A log elsewhere. `arms` and `records` may be called more than once; `skipped` counts the last pass's rows that
    could not be used, by reason, `rounding` those whose probabilities were rounded."""

    notes: list[str]
    skipped: Counter[str]
    rounding: Rounding
    reward_kind: str
    named: dict[str, str]

    def arms(self) -> list[Arm]:
        """The arms that the log names, with their features."""

    def names(self) -> dict[str, list[str]]:
        """The features that occur anywhere in it, by scope: context, arm, arm_context."""
        ...

    def records(self) -> Iterator[Record]:
        """Yields the decisions in the log's order, each with its rewards."""


class Repeated(InvalidEvent):
    """A candidate is listed twice in one decision."""

    def __init__(self, field: str, found: str, expected: str) -> None:
        super().__init__(field, found, expected)
        self.arm = found


def reason(error: Exception) -> str:
    """What `skipped` counts an unusable row under."""
    if isinstance(error, Repeated):
        return f"candidate {error.arm[:40]} is listed twice"
    if isinstance(error, NotAdmitted):
        return f"{error.reason.replace('_', ' ')}: {error.field} expected to be {error.expected}"
    return f"no {error.args[0]}" if isinstance(error, KeyError) else f"bad {getattr(error, 'field', 'value')}"


_EXPECTED = {
    "bad pmf": "one probability for each candidate, summing to 1 but for the rounding of the digits that are written",
    "bad propensity": f"a probability from {LEAST_PROPENSITY:g} to 1, the chosen arm's own where all are given",
    "bad arms": 'a list of candidates as JSON, such as ["a", "b"], or between "|" (column arms; no objects)',
    "bad arm": "one of the row's candidates, written as it is there (7 is not 7.0), each of which stands once",
    "bad reward": "a number; none where no reward came",
    "bad value": "a finite number; none where no reward came",
    "bad time": "ISO 8601, such as 2026-03-01T10:00:00Z, or seconds since 1970",
    "bad Timestamp": "ISO 8601, such as 2026-03-01T10:00:00Z",
    "bad at": "a time before the year 2100",
    "not JSON": "an object a line, in UTF-8",
}


def explained(why: str) -> str:
    """The reason under which rows were skipped, with what they should have had, where that is known."""
    return f"{why}: expected {_EXPECTED[why]}" if why in _EXPECTED else why


def all_explained(skipped: Mapping[str, int]) -> str:
    """Why no row could be used: every reason, how often, and what was expected."""
    return "; ".join(f"{n:,} × {explained(why)}" for why, n in skipped.items()) or "it is empty"


def checked(decision: Decision) -> Decision:
    """Returns the record. Raises InvalidEvent where its parts do not fit: an estimate would be wrong without a word, or
    the row could never be shipped, nor anything after it."""
    for name in _TEXTS:
        if not isinstance(getattr(decision, name), str):
            raise InvalidEvent(name, getattr(decision, name), "text")
    if decision.role not in ROLES:
        raise InvalidEvent("role", decision.role, f"one of {', '.join(ROLES)}")
    if not 0 <= decision.at < YEAR_2100:
        raise InvalidEvent("at", decision.at, "UTC microseconds since 1970, before the year 2100")
    for name in ("pass_probability", "propensity"):
        if not LEAST_PROPENSITY <= getattr(decision, name) <= 1:
            raise InvalidEvent(name, getattr(decision, name), f"a probability from {LEAST_PROPENSITY:g} to 1")
    _check_candidates(decision)
    if len(decision.arm_features) not in (0, len(decision.arms)):
        raise InvalidEvent("arm_features", f"{len(decision.arm_features)} entries", "none, or one for each candidate")
    if len(decision.pmf) != len(decision.arms) or not abs(sum(decision.pmf) - 1) <= 1e-6 or min(decision.pmf) < 0:
        raise InvalidEvent("pmf", decision.pmf, "one probability for each candidate, summing to 1")
    if abs(decision.pmf[decision.arms.index(decision.arm)] - decision.propensity) > 1e-6:
        raise InvalidEvent("propensity", decision.propensity, "the pmf at the chosen arm")
    return decision


def _check_candidates(decision: Decision) -> None:
    if len(set(decision.arms)) != len(decision.arms):
        raise Repeated("arms", Counter(decision.arms).most_common(1)[0][0], "distinct candidates")
    if decision.arm not in decision.arms:
        raise InvalidEvent("arm", decision.arm, "one of the candidates")
