"""How decisions were served in the last day: how many, how fast, and how many of them by the fallback, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from croupier.features.health import sketch
from croupier.features.health.served import added
from croupier.features.utc import DAY, HOUR_SECONDS, hour_start
from croupier.models.health.symptom import TO_WATCH, Symptom

MOST = 0.01  # of the decisions, from which on fallbacks are watched; as the rule CroupierFallbacks of Prometheus has it


@dataclass(frozen=True, kw_only=True)
class ServedDay:
    """The last day's `decisions`, a second on average and in its `busiest` hour, milliseconds at the median and the
    99th percentile (None where no decision says how long it took), and `fallbacks` by reason; `since` (UTC µs) is its
    first hour with any."""

    decisions: int
    per_second: float
    busiest: float
    p50_ms: float | None
    p99_ms: float | None
    fallbacks: Mapping[str, int]
    since: int

    @property
    def share(self) -> float:
        """The share of fallbacks."""
        return sum(self.fallbacks.values()) / max(self.decisions, 1)

    def to_dict(self) -> dict[str, Any]:
        """The day as JSON."""
        return dict(vars(self)) | {"fallbacks": dict(self.fallbacks), "share": self.share}


def of_day(hours: Sequence[Mapping[str, Any]]) -> ServedDay | None:
    """Returns the last day of hourly figures; None where none of them, which older versions made, says how it was
    served."""
    last = hour_start(hours[-1]["hour"]) if hours else 0
    day = [h for h in hours if "served" in h and last - hour_start(h["hour"]) < DAY]
    if not day:
        return None
    nothing: dict[str, Any] = {}
    sums = reduce(added, [h["served"] for h in day], nothing)
    n = [int(h["n"]) for h in day]
    begun = [hour_start(h["hour"]) for h in day if h["served"]["fallbacks"]]
    return ServedDay(
        decisions=sum(n),
        per_second=sum(n) / (len(n) * HOUR_SECONDS),
        busiest=max(n) / HOUR_SECONDS,
        p50_ms=sketch.quantile(sums["took"], 0.5),
        p99_ms=sketch.quantile(sums["took"], 0.99),
        fallbacks=dict(sorted(sums["fallbacks"].items(), key=lambda each: (-each[1], each[0]))),
        since=min(begun, default=last),
    )


def symptoms(day: ServedDay | None) -> list[Symptom]:
    """Returns a symptom where more than MOST of the last day's decisions were fallbacks."""
    if day is None or day.share <= MOST:
        return []
    named = ", ".join(f"{reason} ({n:,})" for reason, n in [*day.fallbacks.items()][:3])
    return [
        Symptom(
            watch="system",
            about="fallbacks",
            level=TO_WATCH,
            cause="fallbacks",
            number=day.share,
            threshold=MOST,
            since=day.since,
            says=f"{day.share:.1%} of the last day's decisions were fallbacks, chosen by no policy: {named}",
            remedy="`croupier serve health`, and the server's log; if it was the deadline, raise CROUPIER_DEADLINE_MS",
        )
    ]
