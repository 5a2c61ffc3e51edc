"""Columns of one scope (context, arm or arm_context): declared features in, a float32 matrix out. numpy only.

Missing (absent or null) numbers become the training mean, with an indicator column `NAME=<missing>` where the fit saw
some missing; categories outside the vocabulary light `NAME=<unk>`, missing ones `NAME=<missing>` under the same rule.
A list of words (tags) lights the column of each of its words, and counts those that are outside the vocabulary in
`NAME=<unk>`. A string is only ever looked up, never parsed or written into a learner's format, so any string is safe.
"""

from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain, cycle
from operator import getitem, itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from croupier.features.batch import F32, F64, I64
from croupier.features.declared.plain_rows import PlainRows, Values
from croupier.features.encoding.fitted import LIMIT, Fitted, seconds_of
from croupier.features.encoding.numbers import Numbers
from croupier.features.encoding.validation import Row, Validation, getter
from croupier.features.encoding.vocabulary import text_of
from croupier.features.utc import DAY_SECONDS, WEEK_SECONDS

if TYPE_CHECKING:
    import polars as pl  # the serving path never loads it

MANY = 64  # rows from which it is cheaper to go column by column
_ORDER = ("numeric", "categorical", "embedding", "timestamp", "tags")


class _Vocabulary(dict[str | None, int]):
    """Category → column; what is not in it is looked up as text, and else is `unknown`."""

    unknown = -1

    def __missing__(self, value: object) -> int:
        return self.unknown if isinstance(value, str) else self.get(text_of(value), self.unknown)


class Columns:
    """The fitted features of one scope: `matrix(rows)` (n, d), `names` (d), and the `validation` of a row."""

    def __init__(self, scope: str, features: Sequence[Fitted]) -> None:
        self.scope = scope
        self.features = tuple(sorted(features, key=lambda f: _ORDER.index(f.type)))  # stable: declared order within
        self.names = tuple(chain.from_iterable(f.columns for f in self.features))
        ends = np.cumsum([0] + [len(f.columns) for f in self.features])
        self.span = {f.name: slice(int(a), int(b)) for f, a, b in zip(self.features, ends, ends[1:], strict=False)}
        self._of = {kind: [f for f in self.features if f.type == kind] for kind in _ORDER}
        self._numeric_names = [f.name for f in self._of["numeric"]]
        self._category_names = [f.name for f in self._of["categorical"]]
        self._get_numbers, self._get_texts = getter(self._numeric_names), getter(self._category_names)
        self._numbers = Numbers(self._of["numeric"], self.span) if self._numeric_names else None
        self.validation = Validation(self.features, scope)

    def matrix(self, rows: Sequence[Row]) -> F32:
        """Returns (n, d) float32, finite. Wrong types raise ValueError or TypeError; `validation` names the field."""
        n, m = len(rows), len(self._numeric_names)
        try:  # without a Python loop over values, if none is missing
            numbers = self._present_numbers(rows)
        except (KeyError, TypeError):
            numbers = np.array([list(map(r.get, self._numeric_names)) for r in rows], np.float64).reshape(n, m)
        return self.assemble(numbers, self._codes(rows) if self._category_names else None, rows)

    def plain(self, rows: Sequence[Any]) -> PlainRows | None:
        """The rows of a request, if they are plain: complete, and right as they are (Validation.taken_all); else
        None."""
        found = self.validation.plain_values(rows)
        return None if found is None else PlainRows(len(rows), orjson.dumps(rows), self.values(*found))

    def values(self, numbers: Iterable[float], texts: Iterable[str]) -> Values:
        """What PlainRows keep of rows, one after the other. Raises OverflowError for an integer that no float holds."""
        tables = self._tables
        found = map(tables[0].__getitem__, texts) if len(tables) == 1 else map(getitem, cycle(tables), texts)
        return array("d", numbers), array("q", found)

    def matrix_of(self, n: int, numbers: F64, codes: I64) -> F32:
        """Returns the matrix (n, d) of n rows by their `values`."""
        m, c = len(self._numeric_names), len(self._category_names)
        return self.assemble(numbers.reshape(n, m), codes.reshape(n, c), [{}] * n)

    def _present_numbers(self, rows: Sequence[Row]) -> F64:
        """(n, m), where none is absent; of many rows column by column, which makes no tuple of each."""
        n, m = len(rows), len(self._numeric_names)
        if n < MANY:
            return np.fromiter(self._get_numbers(rows), np.float64, n * m).reshape(n, m)
        found = np.empty((m, n))
        for j, name in enumerate(self._numeric_names):
            found[j] = np.fromiter(map(itemgetter(name), rows), np.float64, n)
        return found.T

    def _codes(self, rows: Sequence[Row]) -> Any:
        """Category columns (n, c), -1 = none lit."""
        tables, size = self._tables, (len(rows), len(self._category_names))
        try:
            found = map(getitem, cycle(tables), self._get_texts(rows))
            return np.fromiter(found, np.int64, size[0] * size[1]).reshape(size)
        except KeyError:
            return np.array([list(map(getitem, tables, map(r.get, self._category_names))) for r in rows], np.int64)

    def frame_matrix(self, frame: "pl.DataFrame") -> F32:
        """Returns the matrix of typed columns, one a feature (absent: missing), some ten times faster than from
        rows."""
        numbers = np.full((len(frame), len(self._numeric_names)), np.nan)
        for j, name in enumerate(self._numeric_names):
            if name in frame.columns:
                numbers[:, j] = frame[name].to_numpy()
        codes = np.empty((len(frame), len(self._category_names)), np.int64)
        for j, (name, table) in enumerate(zip(self._category_names, self._tables, strict=True)):
            if name in frame.columns:
                values = frame[name].unique()
                codes[:, j] = frame[name].replace_strict(values, [table[v] for v in values.to_list()]).to_numpy()
            else:
                codes[:, j] = table[None]
        rest = [
            f.name for kind in ("embedding", "timestamp", "tags") for f in self._of[kind] if f.name in frame.columns
        ]
        return self.assemble(numbers, codes, frame.select(rest).to_dicts() if rest else [{}] * len(frame))

    def assemble(self, numbers: F64, codes: Any, rows: Sequence[Row]) -> F32:
        """The one transform, from raw numbers (n, m; NaN = missing) and category columns (n, c; -1 = none lit)."""
        n, out = len(rows), np.zeros((len(rows), len(self.names)), np.float32)
        if n and self._numbers is not None:
            self._numbers.write(numbers, out)
        if n and self._of["categorical"]:
            lit = codes if n == 1 else codes + np.arange(0, out.size, out.shape[1])[:, None]
            out.put(lit if codes.item(codes.argmin()) >= 0 else lit[codes >= 0], 1.0)
        for f in self._of["embedding"]:
            zero = [0.0] * f.length
            vectors = np.array([zero if (v := r.get(f.name)) is None else v for r in rows], np.float64)
            out[:, self.span[f.name]] = np.clip(vectors.reshape(n, f.length), -LIMIT, LIMIT)
        for f in self._of["timestamp"]:
            out[:, self.span[f.name]] = _cycles(np.array([seconds_of(r.get(f.name)) for r in rows], np.float64))
        for f, table in zip(self._of["tags"], self._words, strict=True):
            _light(out, table, [r.get(f.name) for r in rows])
        return out

    @cached_property
    def _tables(self) -> list[_Vocabulary]:
        return [self._table(f) for f in self._of["categorical"]]

    @cached_property
    def _words(self) -> list[_Vocabulary]:
        return [self._table(f) for f in self._of["tags"]]

    def _table(self, f: Fitted) -> _Vocabulary:
        first = self.span[f.name].start
        table = _Vocabulary({text: first + i for i, text in enumerate(f.vocabulary)})
        table.unknown = first + len(f.vocabulary)
        table[None] = table.unknown + 1 if f.missing else -1
        return table


def _light(out: F32, table: _Vocabulary, lists: Sequence[Sequence[str] | None]) -> None:
    """Adds 1 to the column of each word of a list, once however often it stands there; of an empty list as of none."""
    width = out.shape[1]
    lit = ((i * width, table[word]) for i, words in enumerate(lists) for word in (set(words) if words else (None,)))
    np.add.at(out.reshape(-1), [start + column for start, column in lit if column >= 0], 1.0)


def _cycles(seconds: F64) -> F64:
    """Maps (n,) UTC seconds to (n, 4): hour of the day and day of the week on circles; zeros where missing."""
    day, week = (2 * np.pi * (seconds % p) / p for p in (DAY_SECONDS, WEEK_SECONDS))
    circles: F64 = np.nan_to_num(np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], axis=1))
    return circles
