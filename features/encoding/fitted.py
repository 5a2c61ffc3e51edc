"""One declared feature as the fit left it: its state, its column names, what it accepts, how numbers are shaped."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Self, cast

import numpy as np

from croupier.features.batch import F64
from croupier.features.encoding.profile import Profile
from croupier.features.encoding.vocabulary import WITH_WORDS, text_of
from croupier.features.schema import MAX_TEXT

MAX_WORDS = 256  # of one list of tags
_NUMBERS = frozenset({int, float})
LIMIT = 1e18  # a finite float64 beyond this would be inf in float32, or after one product
UNKNOWN, MISSING = "<unk>", "<missing>"
_CYCLES = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")


def seconds_of(value: object) -> float:
    """Returns UTC seconds since the epoch of an ISO-8601 string or a number of seconds; NaN if missing."""
    if value is None:
        return float("nan")
    if isinstance(value, str):
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return float(value)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """One feature as the fit left it. `mean`, `scale` after clip and log; `fill` is what a missing number becomes."""

    name: str
    type: str
    log: bool = False
    clip: tuple[float, float] = (-LIMIT, LIMIT)
    mean: float = 0.0
    scale: float = 1.0
    fill: float = 0.0
    vocabulary: tuple[str, ...] = ()
    length: int = 0
    profile: Profile = field(default_factory=Profile)
    strings: bool = False

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON; `strings` stands there only where it is true, so that digests of before it was stay."""
        state = asdict(self)
        return state if self.strings else {name: value for name, value in state.items() if name != "strings"}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """Restores a fitted feature from what `to_json` wrote."""
        tuples = {"clip": tuple(state["clip"]), "vocabulary": tuple(state["vocabulary"])}
        return cls(**(state | tuples | {"profile": Profile.from_json(state["profile"])}))

    @property
    def missing(self) -> bool:
        """Whether training saw missing values, so that missing has a column of its own."""
        return self.profile.missing > 0

    @property
    def columns(self) -> list[str]:
        """Names of its columns, in order."""
        if self.type == "numeric":
            return [self.name] + [f"{self.name}={MISSING}"] * self.missing
        if self.type in WITH_WORDS:
            return [f"{self.name}={v}" for v in (*self.vocabulary, UNKNOWN)] + [f"{self.name}={MISSING}"] * self.missing
        if self.type == "embedding":
            return [f"{self.name}[{i}]" for i in range(self.length)]
        return [f"{self.name}:{c}" for c in _CYCLES]

    @property
    def expected(self) -> str:
        """What a value of this feature must be, in words for an error."""
        return {
            "numeric": "a finite number (or null)" + ', or a text that writes one, such as "31.5"' * self.strings,
            "categorical": f"a string of at most {MAX_TEXT} characters",
            "tags": f"a list of at most {MAX_WORDS} strings, each of at most {MAX_TEXT} characters",
            "embedding": f"a list of {self.length} finite numbers",
            "timestamp": "ISO 8601, or seconds since 1970",
        }[self.type]

    def accepts(self, value: object) -> bool:
        """True if the value is of the feature's type; None is missing, and always accepted."""
        if value is None:
            return True
        if self.type == "categorical":
            return isinstance(value, str | bool | int | float) and len(text_of(value) or "") <= MAX_TEXT
        if self.type == "tags":
            return isinstance(value, list | tuple) and len(value) <= MAX_WORDS and all(map(_is_word, value))
        if self.type == "embedding":
            return isinstance(value, list | tuple) and len(value) == self.length and _are_numbers(value)
        if self.type == "timestamp" and isinstance(value, str):
            return _is_time(value)
        return _is_number(value) and (self.type == "numeric" or abs(value) < 1e11)  # type: ignore[arg-type]


def log_of(x: F64) -> F64:
    """Returns sign(x)·log(1 + |x|)."""
    return cast("F64", np.sign(x) * np.log1p(np.abs(x)))


def _is_word(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _are_numbers(values: Sequence[Any]) -> bool:
    """As `_is_number` of each, without a Python loop where all is well: a catalogue has millions of them."""
    try:
        plain = _NUMBERS.issuperset(map(type, values)) and isfinite(sum(values))
    except OverflowError:
        plain = False
    return plain or all(map(_is_number, values))


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:
        return False


def _is_time(value: str) -> bool:
    try:
        return isfinite(seconds_of(value))
    except (ValueError, OverflowError):
        return False
