"""Any table as rounds: a Parquet or CSV file whose columns are named by its owner, read in chunks.

    reward, propensity    of the logged arm
    target                π(a|x) of the logged arm, or a list over all arms (Parquet) with `arm` the logged one's index
    predicted             q̂ of the logged arm (then DM and DR cannot be formed), or a list over all arms
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from features.batch import F64, I64
from models.off_policy import Rounds

FORMATS = {".parquet": "parquet", ".csv": "csv"}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of columns; empty: not there. Without `target`, the logging policy itself is evaluated."""

    reward: str = "reward"
    propensity: str = "propensity"
    target: str = ""
    predicted: str = ""
    arm: str = ""

    def named(self) -> list[str]:
        return [name for name in (self.reward, self.propensity, self.target, self.predicted, self.arm) if name]


@dataclass(frozen=True, kw_only=True)
class TableLog:
    """Re-iterable chunks of a file. `models_reward`: whether DM and DR mean anything (q̂ and π for every arm)."""

    path: Path
    columns: Columns
    rows: int
    models_reward: bool

    @classmethod
    def open(cls, path: Path, columns: Columns) -> "TableLog":
        """Raises ValueError naming the column that is missing and those there are."""
        data = _dataset(path)
        missing = [name for name in columns.named() if name not in data.schema.names]
        if missing:
            raise ValueError(f"{path}: found no column {', '.join(missing)}, expected one of: "
                             f"{', '.join(data.schema.names)}; name yours by --reward, --propensity, --target-pmf, "
                             "--predicted, --arm")  # fmt: skip
        tables = [name for name in (columns.target, columns.predicted) if name]
        lists = [name for name in tables if _is_list(data.schema.field(name).type)]
        if lists and not columns.arm:
            raise ValueError(f"{path}: column {lists[0]} holds a list over arms; name the logged arm's index by --arm")
        return cls(path=path, columns=columns, rows=data.count_rows(), models_reward=len(lists) == 2)

    def chunks(self, *, rows: int = 200_000) -> Iterator[Rounds]:
        seen = 0
        for batch in _dataset(self.path).to_batches(columns=self.columns.named(), batch_size=rows):
            if batch.num_rows:
                yield self._rounds(batch, seen)
                seen += batch.num_rows

    def _rounds(self, batch: pa.RecordBatch, seen: int) -> Rounds:
        c, n = self.columns, batch.num_rows
        reward, propensity = (_numbers(batch, name, seen) for name in (c.reward, c.propensity))
        chosen = _numbers(batch, c.arm, seen).astype(np.int64) if c.arm else np.zeros(n, np.int64)
        target = _table(batch, c.target, chosen, seen) if c.target else propensity[:, None]
        predicted = _table(batch, c.predicted, chosen, seen) if c.predicted else np.zeros((n, 1))
        direct = (target * predicted).sum(axis=1) if self.models_reward else np.zeros(n)
        q = _at(predicted, chosen) if self.models_reward else np.zeros(n)
        return Rounds(reward=reward, propensity=propensity, target=_at(target, chosen), predicted=q, direct=direct,
                      thinning=np.ones(n))  # fmt: skip


def _dataset(path: Path) -> ds.Dataset:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix not in FORMATS:
        raise ValueError(f"{path}: found a file ending in {path.suffix!r}, expected .parquet or .csv")
    return ds.dataset(path, format=FORMATS[path.suffix])


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _numbers(batch: pa.RecordBatch, name: str, seen: int) -> F64:
    """One column as floats. Raises ValueError with the row of the first value that is none."""
    try:
        values = np.asarray(batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {name}: found values that are no numbers ({error}), expected floats") from None
    if not np.isfinite(values).all():
        row = seen + int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"column {name}: found an empty or infinite value in row {row}, expected a finite number; "
                         "drop rows whose reward has not matured")  # fmt: skip
    return values


def _table(batch: pa.RecordBatch, name: str, chosen: I64, seen: int) -> F64:
    """(n, K) of a list column, (n, 1) of a plain one."""
    column = batch.column(name)
    if not _is_list(column.type):
        return _numbers(batch, name, seen)[:, None]
    width, flat = {len(v) for v in column.slice(0, 1).to_pylist()}.pop(), column.flatten()
    if len(flat) != width * len(column):
        raise ValueError(f"column {name}: found lists of different lengths, expected one length, the number of arms")
    table = np.asarray(flat.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64).reshape(len(column), width)
    if chosen.min() < 0 or chosen.max() >= width:
        raise ValueError(f"arm: found index {int(chosen.max())}, expected 0 to {width - 1}, positions in column {name}")
    return table


def _at(table: F64, chosen: I64) -> F64:
    return np.asarray(table[np.arange(len(table)), chosen if table.shape[1] > 1 else 0])
