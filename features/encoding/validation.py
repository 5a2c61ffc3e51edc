"""What a request may bring: the features of one scope, checked before anything is made of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from math import isfinite
from operator import itemgetter
from typing import Any

from croupier.features.encoding.as_sent import flattened, with_numbers
from croupier.features.encoding.fitted import Fitted
from croupier.features.encoding.undeclared import Undeclared, refusal
from croupier.features.schema import MAX_TEXT, InvalidEvent

Row = Mapping[str, Any]
_NUMBERS, _TEXTS, _OBJECTS = frozenset({float, int}), frozenset({str}), frozenset({dict})


class Validation:
    """Validates values of the fitted `features` of one scope. Each check raises InvalidEvent naming the field."""

    def __init__(self, features: Sequence[Fitted], scope: str = "") -> None:
        self._features, self._scope = features, scope
        self._known = frozenset(f.name for f in features)
        self._numbers = [f.name for f in features if f.type == "numeric"]
        self._texts = [f.name for f in features if f.type == "categorical"]
        self._get_numbers, self._get_texts = getter(self._numbers), getter(self._texts)
        self._strings = [f.name for f in features if f.strings]
        self._simple = len(self._known) == len(self._numbers) + len(self._texts)

    @property
    def typed(self) -> tuple[Sequence[str], Sequence[str]] | None:
        """The names of the numbers and of the texts that a row has, in their order; None where it may have others."""
        return (self._numbers, self._texts) if self._simple else None

    def taken(self, row: object, where: str, undeclared: Undeclared) -> Row:
        """Returns the features of a row as a caller sent it: flat, as they are declared, and checked (as_sent.py). What
        is so already is returned as it is, at the price of `check`."""
        if not isinstance(row, dict):
            raise InvalidEvent(where, row, "a JSON object of features")
        if self._simple and row.keys() <= self._known and self._plain(row):
            return row
        flat = undeclared.without(flattened(row, where), self._known, self._scope, where)
        flat = with_numbers(flat, self._strings)
        self.check_values(flat, where)
        return flat

    def taken_all(
        self,
        rows: Sequence[Any],
        where: str,
        undeclared: Undeclared,
        *,
        places: Sequence[int] | None = None,
        inside: str = "",
    ) -> Sequence[Row]:
        """Returns each row as `taken` does, at the cost of a few when nothing is wrong or missing. A row is named
        `where[place]inside`, by its own place unless `places` are given."""
        if self.are_plain(rows):
            return rows
        numbered = zip(places or range(len(rows)), rows, strict=True)
        return [self.taken(row, f"{where}[{i}]{inside}", undeclared) for i, row in numbered]

    def are_plain(self, rows: Sequence[Any]) -> bool:
        """True if `taken_all` would return these very rows."""
        return not rows or self.plain_values(rows) is not None

    def plain_values(self, rows: Sequence[Any]) -> tuple[list[float], list[str]] | None:
        """Returns the numbers and the texts of rows, one row after the other, where every row is complete and nothing
        in it is wrong; None where `taken_all` has to look at each."""
        if not self._simple:
            return None
        try:
            numbers, texts = list(self._get_numbers(rows)), list(self._get_texts(rows))
            plain = (
                sum(map(dict.__len__, rows)) == len(rows) * len(self._known)  # each has all of them: so it has no other
                and _NUMBERS.issuperset(map(type, numbers))
                and isfinite(sum(numbers))
                and max(map(str.__len__, texts), default=0) <= MAX_TEXT
            )
        except (KeyError, TypeError, OverflowError):
            return None
        return (numbers, texts) if plain else None

    def check(self, row: object, where: str) -> None:
        """Checks the values of one row that is flat already, as a log has it."""
        if not isinstance(row, dict):
            raise InvalidEvent(where, row, "a JSON object of features")
        if not row.keys() <= self._known:
            raise refusal(row, next(key for key in row if key not in self._known), self._known, where)
        if not (self._simple and self._plain(row)):
            self.check_values(row, where)

    def check_all(
        self, rows: Sequence[object], where: str, places: Sequence[int] | None = None, inside: str = ""
    ) -> None:
        """Checks each row as `check` does, at the cost of a few when nothing is wrong or missing. A row is named
        `where[place]inside`, by its own place unless `places` are given."""
        if not (rows and self.plain_values(rows)):
            for i, row in zip(places or range(len(rows)), rows, strict=True):
                self.check(row, f"{where}[{i}]{inside}")

    def check_values(self, row: Row, where: str) -> None:
        """The declared features only; others are not looked at."""
        for f in self._features:
            if not f.accepts(row.get(f.name)):
                raise InvalidEvent(f"{where}.{f.name}", row[f.name], f.expected)

    def _plain(self, row: Row) -> bool:
        """Numbers finite, categories present and short strings: decided without a Python loop."""
        if self._texts:
            numbers, texts = list(map(row.get, self._numbers)), list(map(row.get, self._texts))
        else:
            numbers, texts = list(row.values()), []
        try:
            return (
                _NUMBERS.issuperset(map(type, numbers))
                and _TEXTS.issuperset(map(type, texts))
                and isfinite(sum(numbers))  # type: ignore[arg-type]
                and sum(map(len, texts)) <= MAX_TEXT  # type: ignore[arg-type]
            )
        except OverflowError:
            return False


def getter(names: Sequence[str]) -> Callable[[Sequence[Row]], Iterator[Any]]:
    """Returns all values of rows, one row after the other. Raises KeyError where one is absent."""
    if not names:
        return lambda rows: iter(())  # noqa: ARG005 - nothing is asked of them
    get = itemgetter(*names)
    if len(names) == 1:
        return lambda rows: map(get, rows)
    return lambda rows: chain.from_iterable(map(get, rows))
