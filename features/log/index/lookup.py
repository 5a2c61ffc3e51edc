"""The decisions of rewards, and the rewards of decisions, found in a bounded number of hours (event_hours.py)."""

from collections.abc import Collection, Iterator

import polars as pl

from croupier.features.log.index.event_hours import NEAR_HOURS, is_told, made_at
from croupier.features.log.index.ledger import LogLedger
from croupier.features.log.shipped import EVENT, REWARD, ShippedLog
from croupier.features.reward import LOOKBACK_US
from croupier.features.store.log_layout import FOREIGN, TARDY
from croupier.features.utc import DAY, HOUR, hour_name, hour_start

REACH = LOOKBACK_US // HOUR  # hours: where the log is looked through; `in_reach` then decides to the microsecond


def decided(log: ShippedLog, rewards: pl.DataFrame, *, but: Collection[str] = ()) -> Iterator[pl.DataFrame]:
    """Yields event_id and decided_at of the decisions that these rewards (event_id, at) may belong to, an hour at a
    time, the newest first, but for the hours `but`; then those of the index. Whoever has found all may stop."""
    if rewards.is_empty():
        return
    low, high = _span(rewards)
    low, high = low - (REACH + 1) * HOUR, high + HOUR
    older = LogLedger.read(log.store).older_hours("decisions", low, high)
    hours = log.hours("decisions", low, high) if older is None else _told(log, rewards, older, low, high)
    for hour in reversed(hours):
        if hour not in but:
            yield log.read("decisions", [hour], EVENT).select("event_id", decided_at="at")
    if older is not None:
        foreign = log.read(FOREIGN, log.hours(FOREIGN, low, high), EVENT)
        beside = (pl.col("at") // HOUR).is_in([hour_start(hour) // HOUR for hour in but])
        yield foreign.filter(~beside).select("event_id", decided_at="at")


def _told(log: ShippedLog, rewards: pl.DataFrame, older: list[str], low: int, high: int) -> list[str]:
    """The hours that the ids tell, and those without an index; in order, where they have decisions."""
    made = rewards.select(made=made_at()).drop_nulls()["made"].unique().to_list()
    starts = {at // HOUR * HOUR for each in made for at in (each - HOUR, each, each + HOUR)}
    hours = sorted({*older, *(hour_name(at) for at in starts if low // HOUR * HOUR <= at <= high)})
    log.look_up("decisions", hours)
    return [hour for hour in hours if log.keys("decisions", hour)]


def rewards_about(log: ShippedLog, hours: list[str], decisions: pl.DataFrame) -> pl.DataFrame:
    """Returns the rewards that may belong to the `decisions` of these neighbouring hours, and all that came in these
    hours. Others may be among them."""
    first, last = hour_start(hours[0]), hour_start(hours[-1])
    older = LogLedger.read(log.store).older_hours("rewards", first - HOUR, last + REACH * HOUR)
    if older is None or not decisions.select(is_told().all()).item():
        return log.read("rewards", log.hours("rewards", first - HOUR, last + REACH * HOUR), REWARD)
    near = log.hours("rewards", first - HOUR, last + (NEAR_HOURS + 1) * HOUR)
    far = [hour for hour in older if hour not in near]
    log.look_up("rewards", far)
    came = log.read("rewards", [*near, *far], REWARD)
    return pl.concat([came, _tardy(log, first, last, read={*near, *far})])


def _tardy(log: ShippedLog, first: int, last: int, *, read: Collection[str]) -> pl.DataFrame:
    """The tardy rewards of decisions in the hours from `first` to `last`, but for those that came in hours `read`."""
    days = log.hours(TARDY, (first - HOUR) // DAY * DAY, last + HOUR)
    known = [hour_start(hour) // HOUR for hour in read]
    return log.read(TARDY, days, REWARD).filter(~(pl.col("at") // HOUR).is_in(known))


def _span(rewards: pl.DataFrame) -> tuple[int, int]:
    low, high = rewards["at"].min(), rewards["at"].max()
    assert isinstance(low, int)
    assert isinstance(high, int)
    return low, high
