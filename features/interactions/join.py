"""Decisions left-joined with rewards → interactions, one partition an hour, and an account of every event.

Which rewards belong to a decision, count for it, and what they come to is said in features/reward.py. Late rewards are
kept beside the partition, and counted. Of repeats that reached one host the first to arrive is in its log, and of those
in two hosts' logs the earlier counts. A decision matures when its window has passed at `now`; until then it waits.

Polars does the join, in chunks of whole hours: it was the faster of the two measured (2M × 0.4M: Polars 1.7 s, DuckDB
2.1 s), and the chunk bounds memory. What is written is a pure function of the log, the spec, `now` and what is in
quarantine (quarantine.py).
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial

import polars as pl

from croupier.features.arrow import INTERACTIONS
from croupier.features.interactions import late_rewards, quarantine, versions
from croupier.features.interactions.account import Account
from croupier.features.interactions.reward_columns import in_reach_columns, margin, to_number, with_fate
from croupier.features.interactions.versions import Version
from croupier.features.log.index.lookup import decided, rewards_about
from croupier.features.log.shipped import DECISION, EVENT, REJECTED, REWARD, LogRewritten, ShippedLog, open_log
from croupier.features.log.spool_quotas import COUNTED
from croupier.features.log.spool_rows import DUPLICATE, KINDS, MALFORMED, OUTSIDE, UNDECLARED, UNTIMELY, word_of
from croupier.features.reward import LOOKBACK_US, window_us
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import Store
from croupier.features.utc import DAY, HOUR, hour_start, to_us

ROWS = 500_000  # decisions joined at a time
COMMITS = 4  # hours written at once, beside the next chunk's join: most of a commit is waiting for a disk or a network
REFUSED = {DUPLICATE: "duplicate", UNDECLARED: "undeclared", OUTSIDE: "outside", UNTIMELY: "untimely"}
REPEAT_HOURS = 2  # a repeated event id (a retry that reached another host) is looked for this far back


def join_interval(store: Store, spec: RewardSpec, *, start: datetime, end: datetime, now: datetime) -> Account:
    """Joins every hour that [start, end) touches and writes those that changed. Returns the sum of their accounts.

    Raises StoreUnavailable (call again) and Unbalanced."""
    while True:
        with suppress(LogRewritten), open_log(store) as log:
            return join_hours(log, _logged(log, start, end), spec, now=now)


def logged_hours(store: Store, *, start: datetime, end: datetime) -> list[str]:
    """Returns the hours that [start, end) touches and that have an event, in order of time."""
    with open_log(store) as log:
        return _logged(log, start, end)


def _logged(log: ShippedLog, start: datetime, end: datetime) -> list[str]:
    first, last = to_us(start) // HOUR * HOUR, to_us(end) - 1
    return sorted(set().union(*(log.hours(kind, first, last) for kind in KINDS)))


def join_hours(log: ShippedLog, hours: list[str], spec: RewardSpec, *, now: datetime) -> Account:
    """Joins these hours, in order of time, and writes those that changed. Returns the sum of their accounts. Raises
    LogRewritten where the log is no longer what was read."""
    if window_us(spec) > LOOKBACK_US:
        days = LOOKBACK_US // DAY
        raise ValueError(f"reward.window_seconds: found {spec.window_seconds}, expected at most {days} days")
    commit = partial(versions.commit, log, joined_at=to_us(now))
    for kind in ("decisions", "rejects"):
        log.look_up(kind, hours)
    total, began = Account(), list[Future[Version]]()
    with ThreadPoolExecutor(COMMITS) as pool:
        for chunk in _chunks(log, hours):
            joined = list(_join(log, chunk, spec, now=to_us(now)))
            _ended(began)
            began = [pool.submit(commit, hour, data, late, account.checked()) for hour, data, late, account in joined]
            total = sum((account for *_, account in joined), total)
        _ended(began)
    return total


def _ended(commits: Iterable[Future[Version]]) -> None:
    for commit in commits:
        commit.result()


def matured(
    store: Store, spec: RewardSpec, *, start: datetime, end: datetime, now: datetime, late: bool = False
) -> pl.DataFrame:
    """Returns what `matured_hours` yields, in one frame."""
    empty = versions.empty()
    found = list(matured_hours(store, spec, start=start, end=end, now=now, late=late))
    return pl.concat(found or [late_rewards.none(empty) if late else empty])


def matured_hours(
    store: Store, spec: RewardSpec, *, start: datetime, end: datetime, now: datetime, late: bool = False
) -> Iterator[pl.DataFrame]:
    """Yields the interactions of each whole hour that [start, end) touches as they stand at `now`, written nowhere: for
    a look between two joins. With another spec (one guardrail's kind) the same decisions get another number. With
    `late`, late_rewards.py's columns are added."""
    with open_log(store) as log:
        hours = log.hours("decisions", to_us(start) // HOUR * HOUR, to_us(end) - 1)
        for chunk in _chunks(log, hours):
            for _, data, tardy, _ in _join(log, chunk, spec, now=to_us(now)):
                yield late_rewards.beside(data, tardy, spec) if late else data


def _chunks(log: ShippedLog, hours: list[str]) -> Iterator[list[str]]:
    """Neighbouring hours, as many as fit into memory: what is read for hours far apart is not read for those between,
    and a repeated event is looked for before each."""
    chunk: list[str] = []
    rows = 0
    for hour in hours:
        size = log.rows("decisions", hour)
        if chunk and (rows + size > ROWS or hour_start(hour) - hour_start(chunk[-1]) > HOUR):
            yield chunk
            chunk, rows = [], 0
        chunk.append(hour)
        rows += size
    if chunk:
        yield chunk


def _join(
    log: ShippedLog, hours: list[str], spec: RewardSpec, *, now: int
) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame, Account]]:
    """Yields (hour, interactions, late rewards, account) of each hour of a chunk."""
    window = window_us(spec)
    logged = _decisions(log, hours)
    decisions = logged if _all(logged, ~pl.col("repeated")) else logged.filter(~pl.col("repeated"))
    rewards = rewards_about(log, hours, decisions).with_row_index()
    mine = _of(rewards, decisions)
    matched = with_fate(mine, window)
    here = (pl.col("at") // HOUR).is_in([hour_start(hour) // HOUR for hour in hours])
    orphans = _orphans(log, hours, _without(rewards.filter(here), mine))
    numbers = to_number(matched.filter(pl.col("fate") == "on_time"), spec)
    joined, quarantined = _interactions(decisions, numbers, spec, window, now), quarantine.states(log.store, hours)
    groups = {"matched": _by_hour(matched, "decided_at"), "orphans": _by_hour(orphans),
              "rejects": _by_hour(_weighed(log.read("rejects", hours, REJECTED)))}  # fmt: skip
    for hour in hours:
        of = {name: frames.get((hour_start(hour) // HOUR,)) for name, frames in groups.items()}
        of["logged"], whole = _slice(logged, hour), _slice(joined, hour)
        data = quarantine.applied(whole, quarantined.get(hour, {}), spec.range)
        yield hour, data, _late(of["matched"]), _account(of, len(data), len(whole) - len(data))


def _by_hour(frame: pl.DataFrame, at: str = "at") -> dict[tuple[object, ...], pl.DataFrame]:
    return frame.with_columns(hour=pl.col(at) // HOUR).partition_by("hour", as_dict=True, include_key=False)


def _slice(frame: pl.DataFrame, hour: str) -> pl.DataFrame:
    """The rows of an hour, without a copy; the frame is sorted by time."""
    start = hour_start(hour)
    first, last = (frame["at"].search_sorted(at, side="left") for at in (start, start + HOUR))
    return frame[first:last]


def _decisions(log: ShippedLog, hours: list[str]) -> pl.DataFrame:
    """Logged decisions of these hours; `repeated` marks all but the earliest of an event id."""
    frame = log.read("decisions", hours, DECISION)
    if not frame["at"].is_sorted():
        frame = frame.sort("at", maintain_order=True)
    first = hour_start(hours[0])
    earlier = log.read("decisions", log.hours("decisions", first - REPEAT_HOURS * HOUR, first - HOUR), EVENT)
    ids = pl.concat([earlier.sort("at"), frame.select("event_id", "at")])
    if ids["event_id"].hash().n_unique() == len(ids):  # a fifth of the time of comparing the ids; equal ones are seen
        return frame.with_columns(repeated=False)
    hour = pl.col("at") // HOUR
    repeated = (hour - hour.shift(1).over("event_id") <= REPEAT_HOURS).fill_null(value=False)
    return frame.with_columns(ids.select(repeated=repeated)["repeated"][len(earlier) :])


def _of(rewards: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """The rewards of these decisions, with `decided_at`, and the `margin` of the arm."""
    named = decisions.select("event_id", margin(), decided_at="at")
    return rewards.join(named, on="event_id").filter(in_reach_columns())


def _without(rewards: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    return rewards.join(found, on="index", how="anti")


def _orphans(log: ShippedLog, hours: list[str], lost: pl.DataFrame) -> pl.DataFrame:
    """Rewards that came in these hours, belong to no decision of theirs, nor to one of any other hour in reach."""
    for found in decided(log, lost, but=hours):
        lost = _without(lost, lost.join(found, on="event_id").filter(in_reach_columns()))
        if lost.is_empty():
            break
    return lost


def _interactions(
    decisions: pl.DataFrame, numbers: pl.DataFrame, spec: RewardSpec, window: int, now: int
) -> pl.DataFrame:
    """One row a mature decision, in order of time. Where sales are rewarded, a decision without a margin has no reward,
    NaN, which breaks a row rule, whether something was sold or not."""
    due = pl.col("at") + window <= now
    mature = decisions if _all(decisions, due) else decisions.filter(due)
    return (
        mature.join(numbers, on="event_id", how="left", maintain_order="left")
        .with_columns(
            _known(pl.col("reward").fill_null(spec.default).cast(pl.Float64), spec),
            pl.col("reward_count").fill_null(0),
            pl.col("reward_at").fill_null(0),
        )
        .select(INTERACTIONS.names)
    )


def _known(reward: pl.Expr, spec: RewardSpec) -> pl.Expr:
    return pl.when(margin().is_nan()).then(float("nan")).otherwise(reward).alias("reward") if spec.sells else reward


def _all(frame: pl.DataFrame, condition: pl.Expr) -> bool:
    """Asked before a filter: the usual answer saves a copy of everything."""
    return bool(frame.select(condition.all()).item())


def _late(matched: pl.DataFrame | None) -> pl.DataFrame:
    if matched is None:
        return pl.DataFrame(schema=REWARD)
    return matched.filter(pl.col("fate") == "late").select(REWARD.names())


def _account(of: dict[str, pl.DataFrame | None], interactions: int, quarantined: int) -> Account:
    logged, repeated = _count(of["logged"]), _count(of["logged"], pl.col("repeated"))
    bad_decisions, thinned = _events(of["rejects"], "decision"), _events(of["rejects"], "thinned")
    refused = _refused_rewards(of["rejects"])
    orphan = _count(of["orphans"])
    fates = {fate: _count(of["matched"], pl.col("fate") == fate) for fate in ("on_time", "late", "duplicate")}
    return Account(
        decisions_in=logged + bad_decisions + thinned,
        interactions=interactions,
        quarantined=quarantined,
        immature=logged - repeated - interactions - quarantined,
        decision_duplicates=repeated,
        decisions_malformed=bad_decisions,
        thinned=thinned,
        rewards_in=_count(of["matched"]) + orphan + sum(refused.values()),
        on_time=fates["on_time"],
        late=fates["late"],
        orphan=orphan,
        **refused | {"duplicate": fates["duplicate"] + refused["duplicate"]},
    )


def _refused_rewards(rejects: pl.DataFrame | None) -> dict[str, int]:
    """Rejected rewards by what the account calls them."""
    found = dict.fromkeys((*REFUSED.values(), MALFORMED), 0)
    for reason, n in () if rejects is None else rejects.filter(kind="reward").select("reason", "n").iter_rows():
        found[REFUSED.get(word_of(reason), MALFORMED)] += n
    return found


def _weighed(rejects: pl.DataFrame) -> pl.DataFrame:
    """`n`: how many events each row stands for. Where it is one row for many, `kind` is what they were."""
    many = pl.col("kind").is_in(["thinned", COUNTED])
    counted = pl.col("kind") == COUNTED
    return rejects.with_columns(
        n=pl.when(many).then(pl.col("raw").cast(pl.Int64, strict=False)).otherwise(1),
        kind=pl.when(counted).then("field").otherwise("kind"),
    )


def _events(rejects: pl.DataFrame | None, kind: str) -> int:
    return 0 if rejects is None else int(rejects.filter(pl.col("kind") == kind)["n"].sum())


def _count(frame: pl.DataFrame | None, *where: pl.Expr) -> int:
    if frame is None:
        return 0
    return frame.filter(*where).height if where else frame.height
