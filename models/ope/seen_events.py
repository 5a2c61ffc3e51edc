"""Which rows of a streamed table tell of an event that was there already: a log whose writer tried again holds lines
several times. 64-bit digests of the ids are kept, sixteen bytes a row; of 10⁷ rows two collide with probability 3e-6.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from croupier.features.batch import Bool

Digests = NDArray[np.uint64]


def _none() -> Digests:
    return np.zeros(0, np.uint64)


@dataclass
class SeenEvents:
    """`column`: the name of the column of event ids; `ids` and `lines`: sorted digests of what came so far."""

    column: str
    ids: Digests = field(default_factory=_none)
    lines: Digests = field(default_factory=_none)

    def new(self, batch: pa.RecordBatch, seen: int) -> Bool:
        """Returns (n,) the first row of each event. Raises ValueError where a row repeats an id and says something
        else: which of the two is right is not known."""
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        ids = frame[self.column].cast(pl.String)
        if ids.null_count():
            row = seen + int(ids.is_null().arg_max() or 0)
            raise ValueError(f"column {self.column}: found an empty event id in row {row}, expected one for each row")
        id_, line = ids.hash().to_numpy(), frame.hash_rows().to_numpy()
        first = np.asarray(ids.is_first_distinct().to_numpy()) & ~np.isin(id_, self.ids)
        self.ids, self.lines = np.union1d(self.ids, id_[first]), np.union1d(self.lines, line[first])
        odd = ~first & ~np.isin(line, self.lines)
        if odd.any():
            i = int(np.flatnonzero(odd)[0])
            raise ValueError(
                f"column {self.column}: found {ids[i]!r} again in row {seen + i}, with other values than "
                "before; expected an event's lines to say the same"
            )
        return first
