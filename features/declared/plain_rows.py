"""Rows of features that are plain, kept without an object for each: their values for the encoder, their JSON for the
log.

A list of twenty arms is forty dicts of JSON. Whatever reads them later finds them out of the processor's cache, and so
does whoever frees them: kept through a batch of 64 requests they cost as much as the whole decision.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import orjson

Row = Mapping[str, Any]
Values = tuple["array[float]", "array[int]"]


class PlainRows(Sequence[Row]):
    """The features of all arms of one request, complete and of the declared types (Columns.plain); equal to the tuple
    of them, which is made when it is asked for. `values`: their numbers, and the columns of their texts, one row after
    the other, as the encoder of one release has them."""

    __slots__ = ("_length", "_made", "_text", "values")

    def __init__(self, length: int, text: bytes, values: Values) -> None:
        """`text` is the list of these `length` rows as JSON."""
        self.values, self._length, self._text = values, length, text
        self._made: tuple[Row, ...] | None = None

    @property
    def json(self) -> orjson.Fragment:
        """The list as JSON, for orjson to put in its place."""
        return orjson.Fragment(self._text)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows as objects."""
        if self._made is None:
            self._made = tuple(orjson.loads(self._text))
        return self._made

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, place: int | slice) -> Row | tuple[Row, ...]:
        return self.rows[place]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __contains__(self, row: object) -> bool:
        return row is not None and row in self.rows

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PlainRows):
            return self._text == other._text or self.rows == other.rows
        return isinstance(other, Sequence) and self.rows == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as its rows have none
