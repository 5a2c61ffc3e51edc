"""What Great Expectations found of some rows at a time, as it would have found it of all rows at once.

Counts of rows add, shares are theirs, and the unexpected rows are put in their order. This holds where every row is
judged by itself, or where all rows that a rule compares with each other are judged together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any

PARTIAL = 20  # unexpected rows that a result shows beside the list of all
LISTED = 200  # unexpected values that a result lists; the rows that have them are listed without end
_COUNTS = ("element_count", "unexpected_count", "missing_count")
_LISTS = ("unexpected_list", "unexpected_index_list")


class MergedResult:
    """The results (`result` of a GX result) of one rule on parts of a frame, each row of which is in one part."""

    def __init__(self) -> None:
        self.success, self.judged = True, 0
        self._first: Mapping[str, Any] = {}
        self._parts = 0
        self._counts = Counter[str]()
        self._unexpected = list[tuple[int, Any, Mapping[str, Any]]]()

    def add(self, success: bool, result: Mapping[str, Any], rows: int) -> None:
        """Adds what was found of another part, which has so many rows: `judged` are those of all parts. Raises
        ValueError where it cannot be added to the others."""
        self._parts += 1
        self.judged += result.get("element_count", rows)
        self._first = self._first or result
        if self._parts > 1 and not {*_COUNTS[:2], *_LISTS} <= self._first.keys() & result.keys():
            raise ValueError(
                f"a result of Great Expectations: found {', '.join(result)}, expected counts of rows and lists of "
                "unexpected rows; judge such a rule on all rows at once"
            )
        self.success = self.success and success
        self._counts.update({name: result[name] for name in _COUNTS if name in result})
        indices = result.get("unexpected_index_list") or ()
        if indices and "row" in indices[0]:
            values = zip_longest(result["unexpected_list"], indices)
            self._unexpected += [(int(at["row"]), value, at) for value, at in values]

    @property
    def rows(self) -> list[int]:
        """The numbers of the unexpected rows, in order."""
        return sorted(row for row, *_ in self._unexpected)

    def whole(self) -> dict[str, Any]:
        """Returns the result of all parts. That of a single part is unchanged."""
        if self._parts == 1:
            return dict(self._first)
        found = sorted(self._unexpected, key=lambda entry: entry[0])
        values, indices = [value for _, value, _ in found[:LISTED]], [at for *_, at in found]
        merged: dict[str, Any] = {
            **{name: self._counts[name] for name in _COUNTS},
            **self._shares(),
            "partial_unexpected_list": values[:PARTIAL],
            "partial_unexpected_index_list": indices[:PARTIAL],
            "unexpected_list": values,
            "unexpected_index_list": indices,
            "unexpected_index_query": f"df.filter(items={[row for row, *_ in found]}, axis=0)",
        }
        with suppress(TypeError):  # of values that have no order Great Expectations leaves them out, too
            merged["partial_unexpected_counts"] = commonest(values)
        return {**self._first, **{name: value for name, value in merged.items() if name in self._first}}

    def _shares(self) -> dict[str, float | None]:
        n, bad = self._counts["element_count"], self._counts["unexpected_count"]
        missing = self._counts["missing_count"]
        of_others = _percent(bad, n - missing)
        return {
            "unexpected_percent": of_others,
            "missing_percent": _percent(missing, n),
            "unexpected_percent_total": _percent(bad, n),
            "unexpected_percent_nonmissing": of_others,
        }


def commonest(values: Sequence[Any]) -> list[dict[str, Any]]:
    """The PARTIAL most common values, as Great Expectations orders them. Raises TypeError where they have no order."""
    counts = Counter(values).most_common(PARTIAL)
    return [{"value": value, "count": n} for value, n in sorted(counts, key=lambda x: (-x[1], x[0]))]


def _percent(part: int, whole: int) -> float | None:
    return part / whole * 100 if whole > 0 else None
