"""Features that nothing declares: refused by name, or, where an app chooses so, left out and counted.

A misspelt feature that is silently ignored costs more than a refused request. So the count goes into the log with the
decisions (features/log/left_out.py), and is said where the app's health is.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

from croupier.features.schema import InvalidEvent

MAX_NAME = 80  # characters of a name that is the caller's


def refuse() -> bool:
    """The rule of an app that says nothing: undeclared features are refused."""
    return False


class Undeclared:
    """What was met in one batch of requests. `ignore()` says whether the app leaves undeclared features out; `counts`
    has how many values were, by scope and name."""

    def __init__(self, ignore: Callable[[], bool] = refuse) -> None:
        self._ignore = ignore
        self.counts: Counter[str] = Counter()

    def without(self, row: dict[str, Any], known: Collection[str], scope: str, where: str) -> dict[str, Any]:
        """Returns the features that are known. Raises InvalidEvent naming the first of the others, unless they are
        left out."""
        unknown = [name for name in row if name not in known]
        if not unknown:
            return row
        if not self._ignore():
            raise refusal(row, unknown[0], known, where)
        self.counts.update(f"{scope}.{name[:MAX_NAME]}" for name in unknown)
        return {name: value for name, value in row.items() if name in known}


def refusal(row: Mapping[Any, Any], name: object, known: Collection[str], where: str) -> InvalidEvent:
    """The refusal of a feature that is not declared."""
    names = ", ".join(sorted(known))[:400] or "no features at all"
    field = f"{where}.{str(name)[:MAX_NAME]}"
    return InvalidEvent(field, row.get(name), f"a declared feature of app.toml: {names}")
