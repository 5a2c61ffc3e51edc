"""The words of features that have some: categories, of which a value is one, and tags, of which it is a list."""

from collections import Counter
from collections.abc import Sequence
from math import isnan
from typing import Any

from croupier.features.declared.feature import Feature
from croupier.features.encoding.profile import Profile

WITH_WORDS = ("categorical", "tags")  # types of features


def text_of(value: object) -> str | None:
    """A category as text: strings as they are, whole numbers without a fraction, None and NaN as missing."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return None if isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def counts_of(kind: str, values: Sequence[Any]) -> Counter[str]:
    """In how many of the values each word is, of a feature of this type."""
    if kind == "tags":
        return Counter(word for words in values if words for word in set(words))
    return Counter(text for text in map(text_of, values) if text is not None)


def commonest(counts: Counter[str], feature: Feature, besides: int = 0) -> tuple[str, ...]:
    """The words that a declaration admits, the commonest first, where `besides` have a place already."""
    ranked = sorted((t for t in counts if counts[t] >= feature.min_count), key=lambda t: (-counts[t], t))
    return tuple(ranked[: max(0, feature.max_vocabulary - besides)])


def profile_of(kind: str, values: Sequence[Any], vocabulary: Sequence[str]) -> Profile:
    """What values are like: the share of those without a word, and of all words the share of each."""
    counts = counts_of(kind, values)
    return Profile.of_words(counts, vocabulary, len(values), present_in(kind, values, counts))


def present_in(kind: str, values: Sequence[Any], counts: Counter[str]) -> int:
    """How many of these values have a word; `counts` are those of their words."""
    return sum(map(bool, values)) if kind == "tags" else counts.total()
