"""Is the loop itself kept up? What this host and the store say now, held against the thresholds below.

The same readings are metrics (serving/monitoring), for those who have Prometheus; this is for those who look at a page.
A part that cannot be read is a symptom, too: what was not asked has not passed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from operator import itemgetter

from croupier.features.store import layout
from croupier.features.utc import DAY, HOUR_SECONDS, SECOND
from croupier.features.workspace import Workspace
from croupier.models.health.symptom import ACT, TO_WATCH, Symptom
from croupier.serving.readings import events, releases
from croupier.serving.readings.sample import Read, Sample

Values = Mapping[str, float]
DAYS = DAY / SECOND


@dataclass(frozen=True, kw_only=True)
class UpkeepRule:
    """`number` of the values read, by metric, is watched above `watch` and acted on above `act`; it is not asked where
    one of its metrics was not read. `aged`: it is seconds since this began, and told in hours."""

    about: str
    number: Callable[[Values], float]
    watch: float
    act: float
    says: str
    remedy: str
    aged: bool = False


def _used(values: Values) -> float:
    return 1.0 - values["croupier_disk_free_bytes"] / values["croupier_disk_size_bytes"]


def _unwatched(values: Values) -> float:
    exposed = values["croupier_rollout_running"] and 0.0 < values["croupier_rollout_share"] < 1.0
    return values["croupier_rollout_look_age_seconds"] if exposed else 0.0


RULES = (
    UpkeepRule(
        about="log", number=itemgetter("croupier_log_unshipped_age_seconds"), watch=2 * HOUR_SECONDS,
        act=6 * HOUR_SECONDS, aged=True, says="decisions of this host have waited {hours:.1f} hours to be shipped",
        remedy="run `croupier ship`, or see why the host's shipper or the DAG collect_events does not",
    ),
    UpkeepRule(
        about="log", number=itemgetter("croupier_log_fill_ratio"), watch=0.7, act=0.9,
        says="this host's log has {number:.0%} of the size it may have; at 100 % decisions are thinned",
        remedy="ship it, so that what is in the store can be pruned; or raise CROUPIER_SPOOL_MAX_BYTES",
    ),
    UpkeepRule(
        about="disk", number=_used, watch=0.9, act=0.95, says="the disk of this host's log is {number:.0%} full",
        remedy="make room: a log that cannot be written answers with its fallback",
    ),
    UpkeepRule(
        about="breaker", number=itemgetter("croupier_breaker_open"), watch=0.5, act=0.5,
        says="the candidate failed so often on this host that its breaker is open: the champion serves its units",
        remedy="see the server's log for its errors, then `croupier rollout abort`, or wait for the controller",
    ),
    UpkeepRule(
        about="hours", number=itemgetter("croupier_hour_lag_seconds"), watch=2 * HOUR_SECONDS, act=DAYS,
        aged=True,
        says="hours that are due have waited {hours:.1f} hours to be joined and validated",
        remedy="see why build_features does not run or fails, or run `croupier turn`",
    ),
    UpkeepRule(
        about="hours", number=itemgetter("croupier_quality_failed_hours"), watch=0.0, act=inf,
        says="{number:.0f} hours of the last week did not pass their validation and are not learnt from",
        remedy="see their quality pages (`croupier report`), mend what wrote such rows, and join the hours again",
    ),
    UpkeepRule(
        about="training", number=itemgetter("croupier_features_age_seconds"), watch=14 * DAYS, act=inf,
        aged=True,
        says="what serves has learnt nothing of the last {days:.0f} days",
        remedy="see why train_and_gate does not run, or what the gate says of its candidates (`croupier gate report`)",
    ),
    UpkeepRule(
        about="rollout", number=_unwatched, watch=2 * HOUR_SECONDS, act=6 * HOUR_SECONDS, aged=True,
        says="a rollout runs, and nobody has looked at its evidence for {hours:.1f} hours",
        remedy="see why watch_rollout does not run, or run `croupier rollout watch`",
    ),
    UpkeepRule(
        about="rollout", number=itemgetter("croupier_rollout_held"), watch=0.5, act=inf,
        says="the rollout is held where it stands", remedy="`croupier rollout status` says why, and what lets it go on",
    ),
)  # fmt: skip
PARTS: Mapping[str, Read] = {
    "log": events.log, "hours": events.joined, "release": releases.release, "rollout": releases.rollout,
}  # fmt: skip


def symptoms(w: Workspace, *, now: int) -> list[Symptom]:
    """What is not kept up at `now` (UTC µs). A host without a log of the app is asked about the store alone."""
    serves = (w.home / layout.SPOOL_LOG).exists()
    values, unread = dict[str, float](), list[Symptom]()
    for name, read in {**PARTS, **({"disk": events.disk} if serves else {})}.items():
        try:
            values |= {sample.name: sample.value for sample in _of_host(read(w, now), serves=serves)}
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are asked
            unread.append(_unread(name, error, now))
    return [*_found(values, now), *unread]


def _of_host(samples: Iterator[Sample], *, serves: bool) -> Iterator[Sample]:
    """A breaker of a host that does not serve is nobody's."""
    return (sample for sample in samples if serves or "host" not in sample.labels)


def _found(values: Values, now: int) -> Iterator[Symptom]:
    for rule in RULES:
        try:
            number = rule.number(values)
        except KeyError:
            continue
        if number > rule.watch:
            since, unit = (now - int(number * SECOND), HOUR_SECONDS) if rule.aged else (now, 1.0)
            spans = {"hours": number / HOUR_SECONDS, "days": number / DAYS}
            yield Symptom(
                watch="system",
                about=rule.about,
                level=ACT if number > rule.act else TO_WATCH,
                cause="upkeep",
                number=number / unit,
                threshold=rule.watch / unit,
                since=since,
                says=rule.says.format(number=number, **spans),
                remedy=rule.remedy,
            )


def _unread(name: str, error: Exception, now: int) -> Symptom:
    return Symptom(
        watch="system",
        about=name,
        level=TO_WATCH,
        cause="upkeep",
        number=0.0,
        threshold=0.0,
        since=now,
        says=f"how the {name} stands could not be read: {type(error).__name__}: {error}",
        remedy="mend that, or run `croupier health` where it can be read: what was not asked has not passed",
    )
