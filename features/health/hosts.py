"""Per host: how many decisions, how many with a reward, and by how much its clock differs from others'.

A UUIDv7 holds the time of whoever made it. Where clients make event ids, `at` less that time is what the host's clock
is ahead of its clients'; where hosts make them it is 0, and what shows is the time from decision to reward.
"""

from typing import Any

import polars as pl

from croupier.features.utc import SECOND

HOST = "host"
EVENT = pl.col("event_id").hash()
_MS = pl.col("event_id").str.slice(0, 8) + pl.col("event_id").str.slice(9, 4)


def hashed(logged: pl.DataFrame) -> pl.DataFrame:
    """Returns (`event`, `host`) of rows (`event_id`, `host`), each event once. Eight bytes stand for the 36 characters
    of an id, so that a million of them are cheap; two of those are alike in one of 37 million such hours, and one of
    them then counts for the other's host."""
    return logged.select(event=EVENT, host=HOST).unique("event", keep="first", maintain_order=True)


def hosts(df: pl.DataFrame, of: pl.DataFrame | None) -> dict[str, dict[str, Any]]:
    """Returns host → {n, rewarded, delay: median seconds, lag: median seconds}; `of` says which host logged which event
    (`hashed`)."""
    known = df.select("event_id", "at", "reward_at", "reward_count", event=EVENT)
    joined = known.join(of, on="event", how="left") if of is not None else known.with_columns(host=pl.lit(""))
    timed = (pl.col("reward_count") > 0) & (pl.col("reward_at") > 0)
    v7 = (pl.col("event_id").str.len_bytes() == 36) & (pl.col("event_id").str.slice(14, 1) == "7")
    made_ms = pl.when(v7).then(_MS).str.to_integer(base=16, strict=False)
    found = (
        joined.with_columns(
            delay=pl.when(timed).then((pl.col("reward_at") - pl.col("at")) / SECOND),
            lag=(pl.col("at") / 1000 - made_ms) / 1000,
        )
        .group_by(pl.col(HOST).fill_null(""))
        .agg(
            n=pl.len(),
            rewarded=(pl.col("reward_count") > 0).sum(),
            delay=pl.col("delay").median(),
            lag=pl.col("lag").median(),
        )
        .sort(HOST)
    )
    return {str(row[HOST]): {k: v for k, v in row.items() if k != HOST} for row in found.to_dicts()}
