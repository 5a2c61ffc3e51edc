"""Which hour an event is of, by its id alone; and an index of the events whose ids do not say it.

An event id made as UUIDv7 (ours are) begins with the time when it was made. A decision is *told* by its id if it was
made within an hour of that time; a reward is *near* if it came in one of the NEAR_HOURS after it. Beside the objects of
a shipment the shipper keeps, create-once and before them, what the ids do not tell:

    log/foreign/hour=H/<spool>-<first>-<last>.parquet    event_id, at of the hour's decisions that their ids do not tell
    log/tardy/hour=H/<spool>-<first>-<last>.parquet      the rewards, of any hour, that are not near an id made on the
                                                         day that begins with hour H

So the decision of a reward is looked for in three hours, and among the foreign ones; the rewards of an hour's decisions
in the hours beside it, and among the tardy ones of its day. Only hours with foreign decisions need all that came in the
30 days in which a reward may come.
"""

import polars as pl
import pyarrow as pa

from croupier.features.arrow import REWARDS
from croupier.features.reward import CLOCK_SKEW_US, LOOKBACK_US
from croupier.features.utc import DAY, HOUR, YEAR_2100

NEAR_HOURS = 3  # rewards that come later than this after their ids are tardy
_UUID7 = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}(/|$)"


def made_at() -> pl.Expr:
    """Returns the time (UTC µs) that the column `event_id` says; null where it says none, or one that no hour has. The
    slots of a page, `<id>/1`, have that of the page."""
    event_id = pl.col("event_id")
    stamp = (event_id.str.slice(0, 8) + event_id.str.slice(9, 4)).str.to_integer(base=16, strict=False, dtype=pl.Int64)
    at = pl.when(event_id.str.contains(_UUID7)).then(stamp * 1000)
    return pl.when(at < YEAR_2100).then(at)


def is_told() -> pl.Expr:
    """Whether the decision at `at` was made within an hour of the time in its id."""
    return ((pl.col("at") - made_at()).abs() <= HOUR).fill_null(value=False)


def is_tardy() -> pl.Expr:
    """Whether the reward at `at` is not near the time in its id, and a decision that the id tells is in its reach."""
    near = (pl.col("at") // HOUR - made_at() // HOUR).is_between(-2, NEAR_HOURS)
    reach = (pl.col("at") - made_at()).is_between(-CLOCK_SKEW_US - HOUR, LOOKBACK_US + HOUR)
    return (reach & ~near).fill_null(value=False)


def foreign(decisions: pa.Table) -> pa.Table | None:
    """Returns event_id and at of the decisions that their ids do not tell; None where all are told."""
    frame = pl.DataFrame({name: pl.from_arrow(decisions[name]) for name in ("event_id", "at")})
    mask = frame.select(untold=~is_told())["untold"]
    return decisions.select(["event_id", "at"]).filter(pa.array(mask.to_list())) if mask.any() else None


def tardy(rewards: pa.Table) -> dict[int, pa.Table]:
    """Returns the tardy rewards by the day (its start, UTC µs) on which their ids were made: at most 32 days."""
    frame = pl.DataFrame({name: pl.from_arrow(rewards[name]) for name in ("event_id", "at")})
    days = frame.select(day=pl.when(is_tardy()).then(made_at() // DAY * DAY))["day"]
    groups = {int(day): pa.array((days == day).fill_null(value=False).to_list()) for day in days.drop_nulls().unique()}
    return {day: rewards.select(REWARDS.names).filter(mask) for day, mask in sorted(groups.items())}
