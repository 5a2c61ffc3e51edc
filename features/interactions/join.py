"""Decisions left-joined with rewards → interactions, one partition an hour, and an account of every event.

Which rewards belong to a decision, count for it, and what they come to is said in features/reward.py. Late rewards are
kept beside the partition, and counted. Of repeats that reached one host the first to arrive is in its log, and of those
in two hosts' logs the earlier counts. A decision matures when its window has passed at `now`; until then it waits.

Hours are joined in chunks, which bound memory (joins/in_memory.py); an hour of many decisions is joined shard by shard
of the event ids (joins/sharded.py), to the same rows. What is written is a pure function of the log, the spec, `now`
and what is in quarantine (quarantine.py).
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial

import polars as pl

from croupier.features.interactions import late_rewards, versions
from croupier.features.interactions.account import Account
from croupier.features.interactions.joins import in_memory, sharded
from croupier.features.interactions.versions import Version
from croupier.features.log.shipped import LogRewritten, ShippedLog, open_log
from croupier.features.log.spool_rows import KINDS
from croupier.features.reward import LOOKBACK_US, window_us
from croupier.features.settings import JOIN_ROWS
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import Store
from croupier.features.utc import DAY, HOUR, hour_start, to_us

ROWS = 500_000  # decisions of several hours joined at a time
COMMITS = 4  # hours written at once, beside the next chunk's join: most of a commit is waiting for a disk or a network


def join_interval(
    store: Store, spec: RewardSpec, *, start: datetime, end: datetime, now: datetime, most: int = JOIN_ROWS
) -> Account:
    """Joins every hour that [start, end) touches and writes those that changed; `most`: see join_hours. Returns the sum
    of their accounts.

    Raises StoreUnavailable (call again) and Unbalanced."""
    while True:
        with suppress(LogRewritten), open_log(store) as log:
            return join_hours(log, _logged(log, start, end), spec, now=now, most=most)


def logged_hours(store: Store, *, start: datetime, end: datetime) -> list[str]:
    """Returns the hours that [start, end) touches and that have an event, in order of time."""
    with open_log(store) as log:
        return _logged(log, start, end)


def _logged(log: ShippedLog, start: datetime, end: datetime) -> list[str]:
    first, last = to_us(start) // HOUR * HOUR, to_us(end) - 1
    return sorted(set().union(*(log.hours(kind, first, last) for kind in KINDS)))


def join_hours(log: ShippedLog, hours: list[str], spec: RewardSpec, *, now: datetime, most: int = JOIN_ROWS) -> Account:
    """Joins these hours, in order of time, and writes those that changed. An hour of more than `most` decisions (0: of
    any number) is joined in shards of its event ids, one after the other. Returns the sum of their accounts. Raises
    LogRewritten where the log is no longer what was read."""
    check_window(spec)
    commit = partial(versions.commit, log, joined_at=to_us(now))
    for kind in ("decisions", "rejects"):
        log.look_up(kind, hours)
    total, began = Account(), list[Future[Version]]()
    with ThreadPoolExecutor(COMMITS) as pool:
        for chunk in _chunks(log, hours, most):
            if (of := sharded.shards(log.rows("decisions", chunk[0]), most)) > 1:  # it stands alone
                total += sharded.join(log, chunk[0], of, spec, now=to_us(now))
                continue
            joined = list(in_memory.joined(log, chunk, spec, now=to_us(now)))
            _ended(began)
            began = [pool.submit(commit, hour, data, late, account.checked()) for hour, data, late, account in joined]
            total = sum((account for *_, account in joined), total)
        _ended(began)
    return total


def check_window(spec: RewardSpec) -> None:
    """Raises ValueError where rewards count for longer than they belong to a decision."""
    if window_us(spec) > LOOKBACK_US:
        days = LOOKBACK_US // DAY
        raise ValueError(f"reward.window_seconds: found {spec.window_seconds}, expected at most {days} days")


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
            for _, data, tardy, _ in in_memory.joined(log, chunk, spec, now=to_us(now)):
                yield late_rewards.beside(data, tardy, spec) if late else data


def _chunks(log: ShippedLog, hours: list[str], most: int = 0) -> Iterator[list[str]]:
    """Neighbouring hours, as many as fit into memory: what is read for hours far apart is not read for those between,
    and a repeated event is looked for before each. An hour of more than `most` decisions stands alone."""
    fit = min(ROWS, most or ROWS)
    chunk: list[str] = []
    rows = 0
    for hour in hours:
        size = log.rows("decisions", hour)
        if chunk and (rows + size > fit or hour_start(hour) - hour_start(chunk[-1]) > HOUR):
            yield chunk
            chunk, rows = [], 0
        chunk.append(hour)
        rows += size
    if chunk:
        yield chunk
