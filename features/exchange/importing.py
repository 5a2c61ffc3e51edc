"""A log of another system appended to ours: declared features only, and a true count of what our log then holds."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from croupier.features import clock
from croupier.features.exchange.coerce import DeclaredFeatures
from croupier.features.exchange.record import Record, Source, reason
from croupier.features.exchange.times import INVENTED_BEFORE
from croupier.features.log.admission import Admission
from croupier.features.log.refusals import NotAdmitted
from croupier.features.log.spool_rows import UNTIMELY
from croupier.features.pricing.prices import Prices
from croupier.features.reward import CLOCK_SKEW_US
from croupier.features.schema import Arm, Decision, InvalidEvent, Reward
from croupier.features.spec import AppSpec

BATCH = 1000


class WritableLog(Protocol):
    """What an import writes to: croupier.features.log.spool.Spool."""

    def find(self, event_ids: Sequence[str], /) -> dict[str, Decision]:
        """Returns the decisions of these events that the log holds, by event id."""

    def append_decisions(self, decisions: Sequence[Decision], /) -> list[Decision]:
        """Appends the decisions whose event ids the log does not hold yet."""

    def append_rewards(self, rewards: Sequence[Reward], /) -> list[bool]:
        """Appends rewards; returns for each whether it was new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did; `start` and `end` (UTC µs, inclusive) say which hours build_features has to run for."""

    decisions: int  # that are new in the log
    repeated: int  # rows whose decision the log held already
    conflicting: int  # rows whose event id is another decision's: nothing of them is kept
    thinned: int  # decisions that a full log did not keep
    rewards: int  # that were new
    rewarded_again: int  # of the repeated rows: those with a reward that the log did not hold
    skipped: int
    start: int
    end: int


def import_log(log: WritableLog, source: Source, spec: AppSpec, arms: Sequence[Arm] = ()) -> Imported:
    """Append everything; a second import of the same file changes nothing (event ids are stable). Of the features only
    those that app.toml declares enter the log: what looks like an identifier was left out of it. A row whose reward is
    not as declared is skipped whole and counted: without it the decision would say that no reward came."""
    counts, times = Counter[str](), set[int]()
    records = _admitted(source, spec, arms)
    while part := list(islice(records, BATCH)):
        counts += _append(log, part)
        times = {min(times | {r.decision.at for r in part}), max(times | {r.decision.at for r in part})}
    names = ("decisions", "repeated", "conflicting", "thinned", "rewards", "rewarded_again")
    return Imported(
        **{name: counts[name] for name in names},
        skipped=source.skipped.total(),
        start=min(times, default=0),
        end=max(times, default=0),
    )


def declared_records(source: Source, spec: AppSpec, arms: Sequence[Arm] = ()) -> Iterator[Record]:
    """Yields the records with declared features alone, as they are declared; a record with one of another type, or
    without a price or a cost that [pricing] asks for, is skipped and counted. `arms`: those of the app's catalogue."""
    features = DeclaredFeatures(spec)
    prices = Prices(spec.pricing, {a.arm_id: a.features for a in features.arms(arms)} if spec.pricing.declared else {})
    for record in source.records():
        try:
            d = features.decision(record.decision)
            prices.refuse_missing(d)
            yield replace(record, decision=replace(d, margin=prices.margin(d, d.arm)) if prices else d)
        except InvalidEvent as error:
            source.skipped[reason(error)] += 1


def _admitted(source: Source, spec: AppSpec, arms: Sequence[Arm]) -> Iterator[Record]:
    admission, latest = Admission.of(spec), clock.now_us() + CLOCK_SKEW_US
    for record in declared_records(source, spec, arms):
        try:
            if record.decision.at > latest:
                raise NotAdmitted("at", record.decision.at, "a time that has come", reason=UNTIMELY)
            for reward in record.rewards:
                admission.reward(reward)
            yield record
        except InvalidEvent as error:
            source.skipped[reason(error)] += 1


def _append(log: WritableLog, part: Sequence[Record]) -> Counter[str]:
    """Appends one batch. A reward goes in only where the log has a decision of that event id, and it is the row's
    own."""
    ids = list(dict.fromkeys(r.decision.event_id for r in part))
    before = log.find(ids)
    log.append_decisions([r.decision for r in part])
    after = log.find(ids)
    seen, counts, rewards, repeats = set(before), Counter[str](), list[Reward](), list[int]()
    for record in part:
        d = record.decision
        if d.event_id in after and not same(d, after[d.event_id]):
            counts["conflicting"] += 1
            continue
        repeated = d.event_id in seen
        counts["repeated" if repeated else "decisions" if d.event_id in after else "thinned"] += 1
        seen.add(d.event_id)
        mine = record.rewards if d.event_id in after else ()
        rewards += mine
        repeats += [counts["repeated"] * repeated] * len(mine)  # of which repeated row; 0: of none
    new = log.append_rewards(rewards) if rewards else []
    again = {row for row, is_new in zip(repeats, new, strict=True) if row and is_new}
    return counts + Counter(rewards=sum(new), rewarded_again=len(again))


def same(a: Decision, b: Decision) -> bool:
    """Whether two rows of one event id tell of one decision. What an import derived from the rest of the file (times,
    candidates) does not count: a file that has grown may know more arms."""
    told = a.at == b.at or max(a.at, b.at) < INVENTED_BEFORE
    return told and (a.unit_id, a.arm, a.propensity) == (b.unit_id, b.arm, b.propensity)
