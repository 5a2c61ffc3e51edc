"""Columns of one scope (context, arm or arm_context): declared features in, a float32 matrix out. numpy only.

Missing (absent or null) numbers become the training mean, with an indicator column `NAME=<missing>` where the fit saw
some missing; categories outside the vocabulary light `NAME=<unk>`, missing ones `NAME=<missing>` under the same rule.
A string is only ever looked up, never parsed or written into a learner's format, so any string is safe.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, cycle
from math import isfinite
from operator import getitem, itemgetter
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from features.batch import F32, F64
from features.fitted import LIMIT, MAX_TEXT, Fitted, fit_feature, log_of, seconds_of, text_of
from features.schema import InvalidEvent
from features.spec import Feature

if TYPE_CHECKING:
    import polars as pl  # the serving path never loads it

Row = Mapping[str, Any]
_ORDER = ("numeric", "categorical", "embedding", "timestamp")


class _Vocabulary(dict[str | None, int]):
    """Category → column; what is not in it is looked up as text, and else is `unknown`."""

    unknown = -1

    def __missing__(self, value: object) -> int:
        return self.unknown if isinstance(value, str) else self.get(text_of(value), self.unknown)


class Columns:
    """The fitted features of one scope: `matrix(rows)` (n, d), `names` (d), and `check(row)` at the door."""

    def __init__(self, scope: str, features: Sequence[Fitted]) -> None:
        self.scope = scope
        self.features = tuple(sorted(features, key=lambda f: _ORDER.index(f.type)))  # stable: declared order within
        self.names = tuple(chain.from_iterable(f.columns for f in self.features))
        ends = np.cumsum([0] + [len(f.columns) for f in self.features])
        self.span = {f.name: slice(int(a), int(b)) for f, a, b in zip(self.features, ends, ends[1:], strict=False)}
        self._of = {kind: [f for f in self.features if f.type == kind] for kind in _ORDER}
        self._numeric_names = [f.name for f in self._of["numeric"]]
        self._category_names = [f.name for f in self._of["categorical"]]
        self._get_numbers, self._get_texts = _getter(self._numeric_names), _getter(self._category_names)
        self._known = frozenset(f.name for f in self.features)

    @classmethod
    def fit(cls, scope: str, declared: Mapping[str, Feature], rows: Sequence[Row]) -> Self:
        return cls(scope, [fit_feature(name, f, [row.get(name) for row in rows]) for name, f in declared.items()])

    def matrix(self, rows: Sequence[Row]) -> F32:
        """(n, d) float32, finite. Wrong types raise ValueError or TypeError: `check` names the field first."""
        n, m = len(rows), len(self._numeric_names)
        try:  # without a Python loop over values, if none is missing
            numbers = np.fromiter(self._get_numbers(rows), np.float64, n * m).reshape(n, m)
        except (KeyError, TypeError):
            numbers = np.array([list(map(r.get, self._numeric_names)) for r in rows], np.float64).reshape(n, m)
        return self.assemble(numbers, self._codes(rows) if self._category_names else None, rows)

    def _codes(self, rows: Sequence[Row]) -> Any:
        """Category columns (n, c), -1 = none lit."""
        tables, size = self._tables, (len(rows), len(self._category_names))
        try:
            found = map(getitem, cycle(tables), self._get_texts(rows))
            return np.fromiter(found, np.int64, size[0] * size[1]).reshape(size)
        except KeyError:
            return np.array([list(map(getitem, tables, map(r.get, self._category_names))) for r in rows], np.int64)

    def frame_matrix(self, frame: "pl.DataFrame") -> F32:
        """The same from typed columns, one a feature (absent: missing), some ten times faster than from rows."""
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
        rest = [f.name for kind in ("embedding", "timestamp") for f in self._of[kind] if f.name in frame.columns]
        return self.assemble(numbers, codes, frame.select(rest).to_dicts() if rest else [{}] * len(frame))

    def assemble(self, numbers: F64, codes: Any, rows: Sequence[Row]) -> F32:
        """The one transform, from raw numbers (n, m; NaN = missing) and category columns (n, c; -1 = none lit)."""
        n, out = len(rows), np.zeros((len(rows), len(self.names)), np.float32)
        if n and self._of["numeric"]:
            self._numbers(numbers, out)
        if n and self._of["categorical"]:
            lit = codes + np.arange(0, out.size, out.shape[1])[:, None]
            out.put(lit if codes.item(codes.argmin()) >= 0 else lit[codes >= 0], 1.0)
        for f in self._of["embedding"]:
            zero = [0.0] * f.length
            vectors = np.array([zero if (v := r.get(f.name)) is None else v for r in rows], np.float64)
            out[:, self.span[f.name]] = np.clip(vectors.reshape(n, f.length), -LIMIT, LIMIT)
        for f in self._of["timestamp"]:
            out[:, self.span[f.name]] = _cycles(np.array([seconds_of(r.get(f.name)) for r in rows], np.float64))
        return out

    def check(self, row: object, where: str) -> None:
        """Raises InvalidEvent naming the field. Passing costs about as much as one look at each value."""
        if not isinstance(row, dict):
            raise InvalidEvent(where, row, "a JSON object of features")
        if not row.keys() <= self._known:
            name = str(next(key for key in row if key not in self._known))
            known = ", ".join(sorted(self._known)) or "no features at all"
            raise InvalidEvent(f"{where}.{name[:80]}", row.get(name), f"a declared feature of app.toml: {known[:400]}")
        if len(self._known) == len(self._numeric_names) + len(self._category_names) and self._plain(row):
            return
        self.check_values(row, where)

    def check_all(self, rows: Sequence[object], where: str) -> None:
        """`check` of each row, at the cost of a few when nothing is wrong or missing."""
        if not (rows and self._all_plain(rows)):
            for i, row in enumerate(rows):
                self.check(row, f"{where}[{i}]")

    def check_values(self, row: Row, where: str) -> None:
        """The declared features only; others are not looked at."""
        for f in self.features:
            if not f.accepts(row.get(f.name)):
                raise InvalidEvent(f"{where}.{f.name}", row[f.name], f.expected)

    def _plain(self, row: Row) -> bool:
        """Numbers finite, categories present and short strings: decided without a Python loop."""
        if self._category_names:
            numbers, texts = list(map(row.get, self._numeric_names)), list(map(row.get, self._category_names))
        else:
            numbers, texts = list(row.values()), []
        try:
            return (
                {float, int}.issuperset(map(type, numbers))
                and {str}.issuperset(map(type, texts))
                and isfinite(sum(numbers))  # type: ignore[arg-type]
                and sum(map(len, texts)) <= MAX_TEXT  # type: ignore[arg-type]
            )
        except OverflowError:
            return False

    def _all_plain(self, rows: Sequence[Any]) -> bool:
        """Every row complete, of declared names, finite numbers and short strings."""
        if len(self._known) != len(self._numeric_names) + len(self._category_names):
            return False
        try:
            numbers, texts = list(self._get_numbers(rows)), list(self._get_texts(rows))
            return (
                {dict}.issuperset(map(type, rows))
                and self._known.issuperset(chain.from_iterable(rows))
                and {float, int}.issuperset(map(type, numbers))
                and {str}.issuperset(map(type, texts))
                and isfinite(sum(numbers))
                and max(map(len, texts), default=0) <= MAX_TEXT
            )
        except (KeyError, TypeError, OverflowError):
            return False

    @cached_property
    def _tables(self) -> list[_Vocabulary]:
        tables = []
        for f in self._of["categorical"]:
            first = self.span[f.name].start
            table = _Vocabulary({text: first + i for i, text in enumerate(f.vocabulary)})
            table.unknown = first + len(f.vocabulary)
            table[None] = table.unknown + 1 if f.missing else -1
            tables.append(table)
        return tables

    def _numbers(self, x: F64, out: F32) -> None:
        """Ufuncs alone, and no more than are needed: a request by itself costs what its numpy calls cost."""
        missing, (mean, scale, fill), (low, high) = np.isnan(x), self._moments, self._ends
        x = np.minimum(np.maximum(x, low), high)
        if self._logged is not None:
            x[:, self._logged] = log_of(x[:, self._logged])
        x -= mean
        x /= scale
        if np.count_nonzero(missing):
            np.copyto(x, fill, where=missing)
            for j, column in self._indicators:
                out[:, column] = missing[:, j]
        out[:, self._value_columns] = x if self._bounded else np.minimum(np.maximum(x, -LIMIT), LIMIT)

    @cached_property
    def _moments(self) -> F64:
        """Mean, scale and fill."""
        return _rows([(f.mean, f.scale, f.fill) for f in self._of["numeric"]])

    @cached_property
    def _ends(self) -> F64:
        return _rows([f.clip for f in self._of["numeric"]])

    @cached_property
    def _bounded(self) -> bool:
        """Does nothing within the ends, and no fill, come to more than LIMIT?"""
        (mean, scale, fill), ends = self._moments, self._ends.copy()
        if self._logged is not None:
            ends[..., self._logged] = log_of(ends[..., self._logged])
        return bool((np.abs((ends - mean) / scale) <= LIMIT).all() and (np.abs(fill) <= LIMIT).all())

    @cached_property
    def _logged(self) -> "slice | NDArray[np.intp] | None":
        """Which numbers: a slice, which costs least, where they lie side by side."""
        logged = [j for j, f in enumerate(self._of["numeric"]) if f.log]
        if not logged:
            return None
        together = logged == list(range(logged[0], logged[-1] + 1))
        return slice(logged[0], logged[-1] + 1) if together else np.array(logged, np.intp)

    @cached_property
    def _value_columns(self) -> Any:
        """A slice where no indicator stands in between."""
        first = [self.span[f.name].start for f in self._of["numeric"]]
        return np.array(first, np.intp) if self._indicators else slice(first[0], first[-1] + 1)

    @cached_property
    def _indicators(self) -> list[tuple[int, int]]:
        """Which numeric feature has a `<missing>` column, and where."""
        return [(j, self.span[f.name].start + 1) for j, f in enumerate(self._of["numeric"]) if f.missing]


def _getter(names: Sequence[str]) -> Callable[[Sequence[Row]], Iterator[Any]]:
    """All values of rows, one row after the other. Raises KeyError where one is absent."""
    if not names:
        return lambda rows: iter(())  # noqa: ARG005 - nothing is asked of them
    get = itemgetter(*names)
    if len(names) == 1:
        return lambda rows: map(get, rows)
    return lambda rows: chain.from_iterable(map(get, rows))


def _rows(facts: Sequence[tuple[float, ...]]) -> F64:
    """m features' facts → (facts, 1, m): ufuncs go fastest over equal shapes, and a request by itself is (1, m)."""
    return np.ascontiguousarray(np.array(facts, np.float64).T[:, None])


def _cycles(seconds: F64) -> F64:
    """(n,) UTC seconds → (n, 4): hour of the day and day of the week on circles; zeros where missing."""
    day, week = (2 * np.pi * (seconds % p) / p for p in (86400.0, 604800.0))
    circles: F64 = np.nan_to_num(np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], axis=1))
    return circles
