"""The judge of every crash test: what was asked, what was acknowledged, what the log holds. A pure function."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """Event ids. lost: acknowledged, not logged. unexpected: logged, never asked for. duplicates: logged twice."""

    lost: tuple[str, ...]
    unexpected: tuple[str, ...]
    duplicates: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.unexpected or self.duplicates)


def judge(*, asked: Iterable[str], acknowledged: Iterable[str], logged: Iterable[str]) -> Found:
    """What was asked for but not acknowledged may be in the log or not: the caller does not know either."""
    copies = Counter(logged)
    return Found(
        lost=tuple(sorted(set(acknowledged) - set(copies))),
        unexpected=tuple(sorted(set(copies) - set(asked))),
        duplicates=tuple(sorted(event for event, n in copies.items() if n > 1)),
    )
