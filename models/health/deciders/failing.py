"""How many of a role's, or a release's, decisions of the last day were answered by the fallback. It is only watched.

A fallback's reason begins with the role that failed (serving/decide/scoring.py), so that its decisions count as those
that this role should have made. A share is told where MOST lies CERTAIN standard errors below it (Wilson 1927), so that
two failures of a candidate that has made fifty decisions say nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from croupier.features.schema import FALLBACK
from croupier.features.utc import DAY, hour_start
from croupier.models.health.deciders.past import RELEASE, ROLE, is_everything
from croupier.models.health.history import History
from croupier.models.health.symptom import TO_WATCH, Symptom
from croupier.models.health.watches.served import MOST

CERTAIN = 3.0


@dataclass(frozen=True, kw_only=True)
class FailedDay:
    """The last day's `fallbacks` among the `decisions` that a role or a release should have made; `since` (UTC µs) is
    the first hour with any."""

    fallbacks: int
    decisions: int
    since: int

    @property
    def share(self) -> float:
        """The share of fallbacks."""
        return self.fallbacks / max(self.decisions, 1)

    @property
    def surely(self) -> float:
        """The lower end of the share's interval of CERTAIN standard errors. Wilson 1927, "Probable inference"."""
        n, z = max(self.decisions, 1), CERTAIN
        middle, half = self.share + z * z / (2 * n), z * sqrt(self.share * (1 - self.share) / n + (z / (2 * n)) ** 2)
        return (middle - half) / (1 + z * z / n)


def of_day(hours: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], FailedDay]:
    """Returns (group, key) → its day, of hourly figures; nothing where older versions made all of the last day's."""
    last = hour_start(hours[-1]["hour"]) if hours else 0
    day = [h for h in hours if FALLBACK in h["groups"] and last - hour_start(h["hour"]) < DAY]
    failed, made, since = Counter[tuple[str, str]](), Counter[tuple[str, str]](), dict[tuple[str, str], int]()
    for hour in day:
        for group in (ROLE, RELEASE):
            made.update({(group, key): int(sums[0]) for key, sums in hour["groups"][group].items()})
        for key, sums in hour["groups"][FALLBACK].items():
            release, _, role = key.partition("|")
            failed.update({(ROLE, role): int(sums[0]), (RELEASE, release): int(sums[0])})
            made[ROLE, role] += int(sums[0])
            for who in ((ROLE, role), (RELEASE, release)):
                since.setdefault(who, hour_start(hour["hour"]))
    return {who: FailedDay(fallbacks=failed[who], decisions=n, since=since.get(who, last)) for who, n in made.items()}


def symptoms(day: Mapping[tuple[str, str], FailedDay], history: History) -> list[Symptom]:
    """Returns a symptom for each role and release of which surely more than MOST of the decisions were fallbacks. Those
    of whatever makes nearly all decisions are told already (watches/served.py)."""
    told = ((who, found) for who, found in sorted(day.items()) if found.surely > MOST)
    return [_symptom(*who, found) for who, found in told if not is_everything(history, *who)]


def about(group: str, key: str) -> str:
    """'fallbacks, role candidate'."""
    return f"fallbacks, {group} {key}"


def _symptom(group: str, key: str, found: FailedDay) -> Symptom:
    return Symptom(
        watch="system",
        about=about(group, key),
        level=TO_WATCH,
        cause="fallbacks",
        number=found.share,
        threshold=MOST,
        since=found.since,
        says=f"{found.share:.1%} of the last day's decisions of {group} {key} were fallbacks ({found.fallbacks:,} of "
        f"{found.decisions:,})",
        remedy="see the server's log for its errors; if it was the deadline, raise CROUPIER_DEADLINE_MS",
    )
