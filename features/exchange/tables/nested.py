"""Columns inside objects: `decision.arm` is the entry `arm` of the object in the column `decision`."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import polars as pl

_LOOK = 20  # rows that tell what an object has


def opened(frame: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """The frame with a column for each entry of the objects that these names speak of. A name that is a column already
    is left alone, dots or not."""
    for name in columns:
        while name not in frame.columns and (outer := _outer(frame, name)):
            frame = _entries(frame, outer)
    return frame


def names_inside(frame: pl.DataFrame) -> list[str]:
    """The names of what the objects of a frame have, as `opened` takes them."""
    return [f"{column}.{entry}" for column in frame.columns for entry in entries_of(frame[column].head(_LOOK))]


def _outer(frame: pl.DataFrame, name: str) -> str:
    """The column whose objects have the entry: the longest one that begins the name."""
    found = [
        column for column in frame.columns if name.startswith(f"{column}.") and entries_of(frame[column].head(_LOOK))
    ]
    return max(found, key=len, default="")


def entries_of(column: pl.Series) -> list[str]:
    """The names of what a column's objects have; none where it has no objects."""
    return list(dict.fromkeys(name for each in objects_of(column) if each for name in each))


def _entries(frame: pl.DataFrame, outer: str) -> pl.DataFrame:
    """The frame with the entries of a column's objects in its place. A cell that is no object has none of them."""
    column = frame[outer]
    if isinstance(column.dtype, pl.Struct):
        inside = column.struct.unnest()
        inside = inside.rename({name: f"{outer}.{name}" for name in inside.columns})
    else:
        rows = objects_of(column)
        names = dict.fromkeys(name for row in rows if row for name in row)
        inside = pl.DataFrame({f"{outer}.{n}": one_type([(row or {}).get(n) for row in rows]) for n in names})
    return frame.drop(outer).hstack([c for c in inside if c.name not in frame.columns])


def objects_of(column: pl.Series) -> list[Mapping[str, Any] | None]:
    """Each cell's object, or None. A column of lists or of plain text has none."""
    if isinstance(column.dtype, pl.Struct):
        return column.to_list()
    if column.dtype != pl.String:
        return [None] * len(column)
    return [_object(cell) for cell in column]


def _object(text: str | None) -> Mapping[str, Any] | None:
    if text is None or not text.lstrip().startswith("{"):
        return None
    try:
        return dict(orjson.loads(text))
    except orjson.JSONDecodeError:
        return None


def one_type(values: list[Any]) -> list[Any]:
    """One type a column: nested values, and all of a column of several kinds, as JSON text."""
    kinds = {_kind(value) for value in values if value is not None}
    if kinds == {"number"}:
        whole = all(isinstance(value, int) for value in values if value is not None)
        return values if whole else [None if value is None else float(value) for value in values]
    return values if kinds <= {"text"} or kinds == {"truth"} else [_text(value) for value in values]


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else "nested"


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()
