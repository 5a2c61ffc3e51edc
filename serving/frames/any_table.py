"""Tables of pandas, Polars and Arrow: in as a Polars frame, out as the kind that came in."""

from typing import Any

import polars as pl

from croupier.features.exchange.cells import missing

KINDS = "a pandas, Polars or Arrow table"


def as_polars(table: Any) -> pl.DataFrame:
    """Returns the table's columns; the index of a pandas frame is left out. Raises TypeError where it is no table, and
    ValueError where a column's name is no text, or is there twice."""
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    if isinstance(table, pl.DataFrame):
        return table
    if not hasattr(table, "__arrow_c_stream__") or not hasattr(table, "columns"):
        raise TypeError(f"table: found {type(table).__name__}, expected {KINDS}")
    if kind(table) == "pandas":
        _refuse_unnamed(table)
        table = table.reset_index(drop=True)
        return pl.DataFrame([_column(table[[name]], name) for name in table.columns])
    names = [str(name) for name in table.column_names] if hasattr(table, "column_names") else list(table.columns)
    return pl.DataFrame([_column(table.select([name]), name) for name in names])


def _column(one: Any, name: str) -> pl.Series:
    """The only column of a table. A category is text, and so are words among numbers, as a CSV has them; of other
    values of several kinds, which no file could hold, a feature is left out and said to be."""
    try:
        column = pl.DataFrame(one)[name]
    except (ValueError, TypeError, NotImplementedError, pl.exceptions.PolarsError):
        values = one[name].to_list() if kind(one) == "pandas" else one[name].to_pylist()
        plain = all(value is None or isinstance(value, str | int | float) for value in values)
        texts = [None if missing(value) else str(value) for value in values] if plain else []
        return pl.Series(name, texts) if plain else pl.Series(name, values, dtype=pl.Object)
    return column.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else column


def kind(table: Any) -> str:
    """The library of a table: pandas, pyarrow or polars."""
    return type(table).__module__.partition(".")[0]


def like(frame: pl.DataFrame, table: Any) -> Any:
    """Returns the frame as a table of `table`'s library."""
    if kind(table) == "pandas":
        return frame.to_pandas()
    return frame.to_arrow() if kind(table) == "pyarrow" else frame


def _refuse_unnamed(table: Any) -> None:
    """Columns of a pandas frame may be named by numbers, or twice."""
    names = list(table.columns)
    wrong = [name for name in names if not isinstance(name, str)] or [n for n in names if names.count(n) > 1]
    if wrong:
        raise ValueError(f"table: found a column named {wrong[0]!r}, expected names that are text, each there once")
