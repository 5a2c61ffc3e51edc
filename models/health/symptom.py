"""What a watch says: a symptom with its number, threshold, beginning, cause and remedy; and the signal it came of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from croupier.features.batch import F64

FINE, TO_WATCH, ACT = LEVELS = "fine", "watch", "act"
WATCHES = (  # as models/HEALTH.md has them
    "reward", "feature", "unit", "delay", "exploration", "coverage", "clock", "model", "rollout", "system",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a signal means, given when it began. `serious`: large enough to be acted on, however sure we are."""

    cause: str
    number: float
    threshold: float
    says: str
    remedy: str
    serious: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Signal:
    """A stream over the recent hours: `z` (R,) residuals of variance 1 of which a rise is bad, `c` (R,) see
    detector.py; or its own evidence `steps` (grid, R), log e_t, in their place; `tell(since)` puts it into words.
    `alarming`: false for what is only ever watched."""

    watch: str
    about: str
    z: F64
    c: F64
    tell: Callable[[int], Told]
    steps: F64 | None = None
    alarming: bool = True
    seasonal: bool = True


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """One line of the page. `since` is UTC µs, `nats` the evidence and `needed` what an alarm needs; a deterministic
    rule has neither."""

    watch: str
    about: str
    level: str
    cause: str
    number: float
    threshold: float
    since: int
    says: str
    remedy: str
    nats: float | None = None
    needed: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The symptom as JSON."""
        return dict(vars(self))
