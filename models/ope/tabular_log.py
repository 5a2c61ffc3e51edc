"""Any table as rounds: a Parquet or CSV file whose columns are named by its owner, read in chunks.

    reward, propensity    of the logged arm
    target                π(a|x) of the logged arm, or a list over all arms with `arm` the logged one's index
    predicted             q̂ of the logged arm (then DM and DR cannot be formed), or a list over all arms

Lists are Parquet's own, or JSON text such as [0.2, 0.8]. A row that cannot be used is an error that names it:
a log whose propensities are wrong in one row is not to be believed in the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from croupier.features.batch import F64, I64, Bool
from croupier.features.exchange import rounded
from croupier.models.ope.estimators import Rounds
from croupier.models.ope.seen_events import SeenEvents

SUM_TOLERANCE = 1e-6  # of a target's pmf, for each arm: six digits
FORMATS = {".parquet": "parquet", ".csv": "csv"}


@dataclass(frozen=True, kw_only=True)
class ColumnNames:
    """Names of columns; empty: not there. Without `target`, the logging policy itself is evaluated."""

    reward: str = "reward"
    propensity: str = "propensity"
    target: str = ""
    predicted: str = ""
    arm: str = ""
    event: str = ""
    unit: str = ""

    def named(self) -> list[str]:
        """Returns the names of the columns that are there."""
        names = (self.reward, self.propensity, self.target, self.predicted, self.arm, self.event, self.unit)
        return list(dict.fromkeys(name for name in names if name))


@dataclass
class Passed:
    """What the last pass left out: rows that repeat an event, and rows whose π is zero for every candidate: there the
    policy could choose nothing. `rounded`: rows whose π was divided by its sum, of which rounding explains that it was
    not 1."""

    repeats: int = 0
    not_offered: int = 0
    rounded: int = 0

    def clear(self) -> None:
        """Begins a pass."""
        self.repeats = self.not_offered = self.rounded = 0


@dataclass(frozen=True, kw_only=True)
class TableLog:
    """Re-iterable chunks of a file. `lists`: whether a column holds lists over arms; `models_reward`: whether DM and DR
    mean anything (q̂ and π for every arm)."""

    path: Path
    columns: ColumnNames
    rows: int
    lists: bool
    models_reward: bool
    passed: Passed = field(default_factory=Passed)
    table: pa.Table | None = None

    @classmethod
    def open(cls, path: Path, columns: ColumnNames, table: pa.Table | None = None) -> "TableLog":
        """The file, or a `table` in memory, which errors then call `path`. Raises ValueError naming the column that is
        missing and those there are."""
        data = _dataset(path, table)
        missing = [name for name in columns.named() if name not in data.schema.names]
        if missing:
            raise ValueError(
                f"{path}: found no column {', '.join(missing)}, expected one of: "
                f"{', '.join(data.schema.names)}; name yours by --reward, --propensity, --target-pmf, "
                "--predicted, --arm, --unit"
            )
        if not columns.event and "event_id" in data.schema.names:
            columns = replace(columns, event="event_id")
        tables = [name for name in (columns.target, columns.predicted) if name]
        kinds = {name: data.schema.field(name).type for name in tables}
        lists = [name for name, kind in kinds.items() if _holds_lists(kind) or _is_text(kind)]
        if lists and not columns.arm:
            raise ValueError(f"{path}: column {lists[0]} holds a list over arms; name the logged arm's index by --arm")
        return cls(
            path=path,
            columns=columns,
            rows=data.count_rows(),
            lists=bool(lists),
            models_reward=len(lists) == 2,
            table=table,
        )

    def chunks(self, *, rows: int = 200_000) -> Iterator[Rounds]:
        """The rounds of `with_units`."""
        return (rounds for rounds, _ in self.with_units(rows=rows))

    def with_units(self, *, rows: int = 200_000) -> Iterator[tuple[Rounds, NDArray[Any] | None]]:
        """Rounds, and whose they are, where a column of units is named. Lines of one event count once, and rows in
        which the policy could choose nothing are left out; `passed` says how many."""
        seen, ids = 0, SeenEvents(self.columns.event)
        self.passed.clear()
        try:
            for batch in _dataset(self.path, self.table).to_batches(columns=self.columns.named(), batch_size=rows):
                if batch.num_rows:
                    rounds, offered = self._rounds(batch, seen)
                    new = ids.new(batch, seen) if self.columns.event else np.ones(batch.num_rows, bool)
                    self.passed.repeats += int((~new).sum())
                    self.passed.not_offered += int((new & ~offered).sum())
                    if (new & offered).any():
                        yield rounds[new & offered], self._units(batch, seen, new & offered)
                    seen += batch.num_rows
        except pa.ArrowInvalid as error:
            raise ValueError(f"{self.path}: {error}, near row {seen}; expected one kind of value a column") from None

    def _units(self, batch: pa.RecordBatch, seen: int, rows: Bool) -> NDArray[Any] | None:
        if not self.columns.unit:
            return None
        column = batch.column(self.columns.unit)
        if column.null_count:
            row = seen + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise ValueError(f"column {self.columns.unit}: found no unit in row {row}, expected one in every row")
        return np.asarray(column.cast(pa.string()).to_numpy(zero_copy_only=False), str)[rows]

    def _rounds(self, batch: pa.RecordBatch, seen: int) -> tuple[Rounds, Bool]:
        """All rows, and which of them offered the policy anything."""
        c, n = self.columns, batch.num_rows
        reward, p = (_numbers(batch, name, seen) for name in (c.reward, c.propensity))
        _refuse(
            ~((p > 0) & (p <= 1 + 1e-9)),
            p,
            seen,
            "propensity",
            "0 < p ≤ 1; a log without true ones cannot be evaluated off-policy",
        )
        chosen = _index(batch, c.arm, seen) if c.arm and self.lists else np.zeros(n, np.int64)
        target = self._target(_table(batch, c.target, chosen, seen), seen) if c.target else p[:, None]
        predicted = _table(batch, c.predicted, chosen, seen) if c.predicted else np.zeros((n, 1))
        if self.models_reward and target.shape != predicted.shape:
            raise ValueError(
                f"column {c.predicted}: found lists of {predicted.shape[1]} near row {seen}, expected "
                f"{target.shape[1]} numbers, one for each arm, as in {c.target}"
            )
        direct = (target * predicted).sum(axis=1) if self.models_reward else np.zeros(n)
        q = _at(predicted, chosen) if self.models_reward else np.zeros(n)
        offered = target.any(axis=1) if target.shape[1] > 1 else np.ones(n, bool)
        return Rounds(
            reward=reward, propensity=p, target=_at(target, chosen), predicted=q, direct=direct, thinning=np.ones(n)
        ), offered

    def _target(self, table: F64, seen: int) -> F64:
        """Returns the table, in which every row is a pmf, but for the rounding of its digits, or zero for every
        candidate, where the policy could choose nothing; or a probability where only the logged arm's is given."""
        name = self.columns.target
        _refuse(((table < 0) | (table > 1 + 1e-9)).any(axis=1), table, seen, name, "probabilities, from 0 to 1")
        if table.shape[1] == 1:
            return table
        total = table.sum(axis=1)
        off = np.flatnonzero((np.abs(total - 1) > SUM_TOLERANCE * table.shape[1]) & (total > 0))
        wrong = np.zeros(len(table), np.bool_)
        wrong[off] = [not rounded.explains(table[i].tolist()) for i in off]
        _refuse(wrong, total, seen, f"sum of {name}", "1, or 0 where the policy could choose nothing")
        self.passed.rounded += len(off)
        return _divided(table, off) if len(off) else table


def _divided(table: F64, rows: I64) -> F64:
    """The table with these rows divided by their sums."""
    whole = table.copy()
    whole[rows] /= table[rows].sum(axis=1, keepdims=True)
    return whole


def _dataset(path: Path, table: pa.Table | None = None) -> ds.Dataset:
    if table is not None:
        return ds.dataset(table)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix not in FORMATS:
        raise ValueError(f"{path}: found a file ending in {path.suffix!r}, expected .parquet or .csv")
    try:
        return ds.dataset(path, format=FORMATS[path.suffix])
    except pa.ArrowInvalid as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: found no {FORMATS[path.suffix]} table in it ({reason}); is the file empty, cut, or "
            "a column's name there twice?"
        ) from None


def _holds_lists(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbers(batch: pa.RecordBatch, name: str, seen: int) -> F64:
    """One column as floats. Raises ValueError with the row of the first value that is none."""
    try:
        values = np.asarray(batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {name}: found values that are no numbers ({error}), expected floats") from None
    if not np.isfinite(values).all():
        row = seen + int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"column {name}: found an empty or infinite value in row {row}, expected a finite number; "
            "drop rows whose reward has not matured"
        )
    return values


def _table(batch: pa.RecordBatch, name: str, chosen: I64, seen: int) -> F64:
    """Returns (n, K) of a column of lists, (n, 1) of a plain one."""
    column = batch.column(name)
    column = _parsed(column, name, seen) if _is_text(column.type) else column
    if not _holds_lists(column.type):
        return _numbers(batch, name, seen)[:, None]
    length = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    width = int(length[0])
    _refuse(length == 0, length, seen, f"length of the list in {name}", "one number for each arm")
    _refuse(length != width, length, seen, f"length of the list in {name}", f"{width}, one number for each arm")
    table = np.asarray(column.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    table = table.reshape(len(column), width)
    _refuse(~np.isfinite(table).all(axis=1), table, seen, name, "finite numbers")
    _refuse((chosen < 0) | (chosen >= width), chosen, seen, "arm", f"0 to {width - 1}, a place in {name}")
    return table


def _parsed(column: pa.Array, name: str, seen: int) -> pa.Array:
    """Lists of a column of JSON text."""
    lists: list[list[float]] = []
    for row, text in enumerate(column.to_pylist(), seen):
        try:
            lists.append([float(v) for v in orjson.loads(text)])
        except (ValueError, TypeError):
            raise ValueError(f"{name}: found {text!r} in row {row}, expected a list such as [0.2, 0.8]") from None
    return pa.array(lists, pa.list_(pa.float64()))


def _index(batch: pa.RecordBatch, name: str, seen: int) -> I64:
    values = _numbers(batch, name, seen)
    _refuse(values != np.round(values), values, seen, name, "the arm's index in the lists, from 0")
    return values.astype(np.int64)


def _refuse(bad: Bool, values: NDArray[Any], seen: int, what: str, expected: str) -> None:
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise ValueError(f"{what}: found {values[i]} in row {seen + i}, expected {expected}")


def _at(table: F64, chosen: I64) -> F64:
    return np.asarray(table[np.arange(len(table)), chosen if table.shape[1] > 1 else 0])
