"""Rows that broke a row rule: what each one broke, whether it is held or stops its hour, and what is said of it.

Held are rows while they are few in their hour (interactions/quarantine.py); the others are critical.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import polars as pl

from croupier.features.interactions.parts.interval_rows import ROW, IntervalRows
from croupier.features.interactions.quarantine import HELD, RELEASED, STOPPED, States, rows_by_hour, stopped_hours
from croupier.features.quality.findings import Finding
from croupier.features.quality.pages.overview_page import Judged
from croupier.features.quality.rules import Severity
from croupier.features.store import layout
from croupier.features.utc import HOUR

EXAMPLES = 3


def found(log: IntervalRows, judged: Judged) -> pl.DataFrame:
    """Returns the rows that broke any rule, in order, with their number in the log."""
    return log.at(sorted({row for _, result in judged for row in result["rows"]}))


def released(broken: pl.DataFrame, judged: Judged, quarantined: Mapping[str, States]) -> Judged:
    """What was found, without the rows that a person released."""
    events = {event for states in quarantined.values() for event, state in states.items() if state == RELEASED}
    passing = set(broken.filter(pl.col("event_id").is_in(events))[ROW]) if events else set[int]()
    out = []
    for rule, result in judged:
        left = [row for row in result["rows"] if row not in passing]
        success = result["success"] or (bool(result["rows"]) and not left)
        out.append((rule, {**result, "rows": left, "success": success}))
    return out


def quarantine(
    log: IntervalRows,
    broken: pl.DataFrame,
    judged: Judged,
    folder: Path,
    *,
    limit: float,
    quarantined: Mapping[str, States],
) -> pl.DataFrame:
    """Those of the `broken` rows that are not released, with the names of the rules they broke (`rule`),
    comma-separated, and their `state`: held while they are few in their hour, else stopped. They are written into
    `folder` too."""
    rules: dict[int, list[str]] = {}
    for rule, result in judged:
        for row in result["rows"]:
            rules.setdefault(row, []).append(rule.name)
    kept = broken.filter(pl.col(ROW).is_in(list(rules)))
    kept = kept.with_columns(pl.Series("rule", [",".join(rules[row]) for row in kept[ROW]], dtype=pl.String))
    path = folder / layout.BROKEN_ROWS
    path.unlink(missing_ok=True)
    if kept.is_empty():
        return kept.with_columns(state=pl.lit(HELD))
    kept.drop(ROW).write_parquet(path)
    held = {hour: sum(state == HELD for state in states.values()) for hour, states in quarantined.items()}
    stopped = stopped_hours(rows_by_hour(part["at"] for part in log.parts("at")), kept["at"], held, limit)
    state = pl.when((pl.col("at") // HOUR * HOUR).is_in(stopped)).then(pl.lit(STOPPED)).otherwise(pl.lit(HELD))
    return kept.with_columns(state=state)


def findings(
    judged: Judged,
    broken: pl.DataFrame,
    severity: Severity,
    *,
    only: Collection[int] | None = None,
    without: Collection[int] = (),
) -> Iterator[Finding]:
    """Yields a finding for each rule that failed: by `only` these rows, or without some."""
    of, off, events = (
        None if only is None else set(only),
        set(without),
        dict(broken.select(ROW, "event_id").iter_rows()),
    )
    for rule, result in judged:
        rows = [row for row in result["rows"] if row not in off and (of is None or row in of)]
        if rule.severity == severity and not result["success"] and (rows or not (result["rows"] or of is not None)):
            yield Finding(
                rule=rule.name,
                says=rule.says,
                count=len(rows) or 1,
                observed=result["observed"],
                examples=tuple(events[row] for row in rows[:EXAMPLES]),
            )
