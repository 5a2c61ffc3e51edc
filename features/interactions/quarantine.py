"""Rows that broke a row rule, by hour: quarantined, so that the rest of the hour can go on, and never lost.

    quarantine/hour=H/rows.parquet     the rows, each with the rules it broke (`rule`) and its `state`
    quality/hour=H/quarantine.json     beside the verdict: what was done, when, by whom and why; newest last

    held       few rows of the hour: taken out of its interactions by the next join, and counted as quarantined
    stopped    more than `[quality] quarantine` of the hour: nothing is taken out, the hour waits for a person
    released   a person took them in again, with a reward within the declared range (quarantine_decisions.py)
    dropped    a person left them out for good

The log itself never changes: what an hour holds is a function of the log, the declaration, and these states.
"""

import io
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

import orjson
import polars as pl

from croupier.features.declared.within import within_column
from croupier.features.store import layout
from croupier.features.store.partitions import by_hour, keys_between
from croupier.features.store.storage import Conflict, Store
from croupier.features.utc import HOUR, hour_start

HELD, STOPPED, RELEASED, DROPPED = "held", "stopped", "released", "dropped"
OUT = (HELD, DROPPED)  # states whose rows no interaction is made of
States = Mapping[str, str]  # event id → state


def states(store: Store, hours: Collection[str]) -> dict[str, States]:
    """Returns, for each of these hours that has quarantined rows, the state of each by event id."""
    if not hours:
        return {}
    found = by_hour(keys_between(store, layout.QUARANTINE, hour_start(min(hours)), hour_start(max(hours))))
    frames = {hour: rows(store, hour)[0] for hour in hours if hour in found}
    return {hour: dict(frame.select("event_id", "state").iter_rows()) for hour, frame in frames.items()}


def applied(data: pl.DataFrame, state: States, ends: tuple[float, float]) -> pl.DataFrame:
    """An hour's interactions without those that are out; the reward of released ones is clipped to `ends`."""
    out = [event for event, of in state.items() if of in OUT]
    again = [event for event, of in state.items() if of == RELEASED]
    within = pl.when(pl.col("event_id").is_in(again)).then(within_column("reward", ends)).otherwise("reward")
    return data.filter(~pl.col("event_id").is_in(out)).with_columns(reward=within) if state else data


def rows_by_hour(times: Iterable[pl.Series]) -> Counter[int]:
    """How many of these times (UTC µs), some at a time, are in each hour, by its start."""
    found = Counter[int]()
    for at in times:
        found.update(dict((at.drop_nulls() // HOUR * HOUR).value_counts().iter_rows()))
    return found


def stopped_hours(rows: Mapping[int, int], broken_at: pl.Series, held: Mapping[str, int], limit: float) -> set[int]:
    """Starts (UTC µs) of the hours of whose `rows`, by start, more than `limit` is broken, rows that are held already
    included."""
    earlier = {hour_start(hour): n for hour, n in held.items()}
    bad = rows_by_hour([broken_at])
    return {hour for hour, n in bad.items() if n + earlier.get(hour, 0) > limit * (rows[hour] + earlier.get(hour, 0))}


def rows(store: Store, hour: str) -> tuple[pl.DataFrame, str | None]:
    """The quarantined rows of an hour, and the version of their object; empty and None where there are none."""
    raw, version = store.read(layout.quarantined(hour))
    if version is None:
        return pl.DataFrame(schema={"event_id": pl.String, "at": pl.Int64, "rule": pl.String, "state": pl.String}), None
    return pl.read_parquet(io.BytesIO(raw)), version


def note(store: Store, hour: str, broken: pl.DataFrame, *, now: int) -> None:
    """Keeps what a validation found of an hour (interactions with `rule` and `state`). Rows that had stopped the hour
    and are sound by now are forgotten; what is held, released or dropped stays. Safe to repeat."""
    while True:
        old, version = rows(store, hour)
        decided = old.filter(pl.col("state").is_in((RELEASED, DROPPED)))["event_id"].to_list()
        broken = broken.filter(~pl.col("event_id").is_in(decided))  # a person was quicker
        kept = old.filter((pl.col("state") != STOPPED) & ~pl.col("event_id").is_in(broken["event_id"].to_list()))
        new = pl.concat([kept, broken], how="diagonal_relaxed").sort("at", "event_id") if len(broken) else kept
        if new.equals(old):
            return
        with suppress(Conflict):
            write(store, hour, new, version)
            break
    for (state,), some in broken.partition_by("state", as_dict=True).items():
        counts = dict(some["rule"].value_counts().sort("rule").iter_rows())
        remember(store, hour, {"at": now, "by": "validate", "action": state, "rows": len(some), "rules": counts})


def write(store: Store, hour: str, frame: pl.DataFrame, version: str | None) -> None:
    """Raises Conflict where somebody else wrote since `version` was read."""
    sink = io.BytesIO()
    frame.write_parquet(sink, compression="zstd")
    store.swap(layout.quarantined(hour), sink.getvalue(), version)


def history(store: Store, hour: str) -> list[dict[str, Any]]:
    """What was done with an hour's rows, oldest first."""
    raw, version = store.read(layout.quarantine_history(hour))
    return list(orjson.loads(raw)) if version is not None else []


def remember(store: Store, hour: str, entry: Mapping[str, Any]) -> None:
    """Adds to the hour's history."""
    while True:
        raw, version = store.read(layout.quarantine_history(hour))
        entries = [*(orjson.loads(raw) if version is not None else ()), entry]
        with suppress(Conflict):
            store.swap(layout.quarantine_history(hour), orjson.dumps(entries, option=orjson.OPT_INDENT_2), version)
            return
