"""The rows of an interval that broke a rule: found part by part, kept, and written where they wait for a person."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from croupier.features.interactions.quarantine import HELD, RELEASED, STOPPED, States, stopped_hours
from croupier.features.interactions.versions import empty
from croupier.features.quality.findings import Finding
from croupier.features.quality.gx import Judged
from croupier.features.quality.rules import Rule, Severity
from croupier.features.store import layout
from croupier.features.utc import HOUR

EXAMPLES = 3


class BrokenRows:
    """What row rules found, and the rows. `hours`: how many rows each hour has, by its start; `quarantined`: by hour,
    what is in quarantine already; `limit`: the share of an hour's rows that may be broken."""

    def __init__(
        self, rules: Sequence[Rule], hours: Mapping[int, int], quarantined: Mapping[str, States], limit: float
    ) -> None:
        self._hours, self._quarantined, self._limit = hours, quarantined, limit
        self._released = {e for states in quarantined.values() for e, state in states.items() if state == RELEASED}
        self._found: dict[str, dict[str, Any]] = {rule.name: {"success": True, "rows": []} for rule in rules}
        self._frames, self._rules = list[pl.DataFrame](), rules

    @property
    def judged(self) -> Judged:
        """By each rule, what was found in all parts, without the rows that a person released."""
        return [(rule, self._found[rule.name]) for rule in self._rules]

    def add(self, part: pl.DataFrame, judged: Judged, first: int) -> None:
        """Adds what was found of a part, whose rows are numbered from `first` on."""
        passing = self._passing(part, first)
        broken = dict[int, list[str]]()
        for rule, result in judged:
            left = [row for row in result["rows"] if row not in passing]
            so_far = self._found[rule.name]
            so_far["success"] &= result["success"] or (bool(result["rows"]) and not left)
            so_far["rows"] += left
            so_far.setdefault("observed", result["observed"])
            for row in left:
                broken.setdefault(row, []).append(rule.name)
        if broken:
            self._frames.append(_named(part, broken, first))

    def _passing(self, part: pl.DataFrame, first: int) -> set[int]:
        """The numbers of the rows that a person released."""
        if not self._released:
            return set()
        numbered = part.select("event_id").with_row_index("row", first)
        return set(numbered.filter(pl.col("event_id").is_in(self._released))["row"])

    def rows(self) -> pl.DataFrame:
        """All of them: their number (`row`), the names of the rules they broke, comma-separated, and their `state`:
        held while they are few in their hour, else stopped."""
        found = pl.concat(self._frames or [_named(empty(), {}, 0)])
        held = {hour: sum(state == HELD for state in states.values()) for hour, states in self._quarantined.items()}
        stopped = stopped_hours(self._hours, found["at"], held, self._limit)
        state = pl.when((pl.col("at") // HOUR * HOUR).is_in(stopped)).then(pl.lit(STOPPED)).otherwise(pl.lit(HELD))
        return found.with_columns(state=state)

    def findings(
        self,
        severity: Severity,
        judged: Judged,
        *,
        only: Collection[int] | None = None,
        without: Collection[int] = (),
    ) -> Iterator[Finding]:
        """Yields a finding for each rule that failed: by `only` these rows, or without some."""
        of, off, ids = None if only is None else set(only), set(without), self._ids()
        for rule, result in judged:
            rows = [row for row in result["rows"] if row not in off and (of is None or row in of)]
            if rule.severity == severity and not result["success"] and (rows or not (result["rows"] or of is not None)):
                yield Finding(
                    rule=rule.name,
                    says=rule.says,
                    count=len(rows) or 1,
                    observed=result["observed"],
                    examples=tuple(ids[row] for row in rows[:EXAMPLES]),
                )

    def _ids(self) -> dict[int, str]:
        return {row: event for frame in self._frames for row, event in frame.select("row", "event_id").iter_rows()}


def write(broken: pl.DataFrame, folder: Path) -> None:
    """Writes broken rows into a folder, in place of what lay there."""
    path = folder / layout.BROKEN_ROWS
    path.unlink(missing_ok=True)
    if len(broken):
        broken.drop("row", "state").write_parquet(path)


def _named(part: pl.DataFrame, broken: Mapping[int, Sequence[str]], first: int) -> pl.DataFrame:
    """The broken rows of a part, with the names of their rules."""
    rows = sorted(broken)
    names = pl.Series("rule", [",".join(broken[row]) for row in rows], dtype=pl.String)
    return part[[row - first for row in rows]].with_columns(names, row=pl.Series(rows, dtype=pl.Int64))
