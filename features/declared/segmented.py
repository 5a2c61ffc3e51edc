"""Which requests of a batch are of which segments.

A batch knows the contexts that it was encoded from, and answers of any segment. A log that was encoded before has the
answers alone, for the segments that were declared then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Marks = NDArray[np.bool_]
Row = Mapping[str, Any]


class AnySegment(Protocol):
    """A segment that app.toml declares (declared/segment.py)."""

    @property
    def key(self) -> str:
        """By what it is known."""
        ...

    def has(self, context: Row) -> bool:
        """True if a request with this context, flat, is of the segment."""
        ...


@dataclass(frozen=True, eq=False)
class SegmentedRows:
    """Which of n requests are of which segments: by their contexts (`rows`: objects, or a Polars frame), or as it was
    found before (`marks`)."""

    rows: Any = None
    marks: Mapping[str, Marks] = field(default_factory=dict)

    def of(self, segment: AnySegment) -> Marks:
        """(n,) True where a request is of the segment. Raises ValueError where nobody can say."""
        if segment.key in self.marks:
            return self.marks[segment.key]
        if self.rows is None:
            raise ValueError(
                f"segment {segment.key}: found a log that was encoded before the segment was declared, expected one "
                "that says which rows are of it; run `croupier turn`, or build_features, again"
            )
        rows = self.rows.to_dicts() if hasattr(self.rows, "to_dicts") else self.rows
        return np.array([segment.has(row) for row in rows], np.bool_)

    def marked(self, segments: Sequence[AnySegment]) -> "SegmentedRows":
        """The answers for these segments alone."""
        return SegmentedRows(marks={segment.key: self.of(segment) for segment in segments})

    def __getitem__(self, rows: slice | NDArray[Any]) -> "SegmentedRows":
        marks = {key: held[rows] for key, held in self.marks.items()}
        if self.rows is None:
            return SegmentedRows(None, marks)
        if isinstance(rows, slice):
            return SegmentedRows(self.rows[rows], marks)
        picked = (np.flatnonzero(rows) if rows.dtype == np.bool_ else rows).tolist()
        found = self.rows[picked] if hasattr(self.rows, "to_dicts") else [self.rows[i] for i in picked]
        return SegmentedRows(found, marks)


def joined_rows(parts: Sequence[SegmentedRows | None]) -> SegmentedRows | None:
    """Those of several batches, one after the other: their contexts, or the answers that all of them have."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    rows = [part.rows for part in known if part.rows is not None and not hasattr(part.rows, "to_dicts")]
    if len(rows) == len(known):
        return SegmentedRows([row for each in rows for row in each])
    keys = [key for key in known[0].marks if all(key in part.marks for part in known)]
    return SegmentedRows(marks={key: np.concatenate([part.marks[key] for part in known]) for key in keys})
