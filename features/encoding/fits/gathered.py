"""What a fit gathers of declared features, some rows at a time: counts and sums add, whatever the rows come in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from croupier.features.declared.feature import Feature
from croupier.features.encoding.fits.numbers_gathered import NumbersGathered
from croupier.features.encoding.fitted import Fitted
from croupier.features.encoding.profile import Profile
from croupier.features.encoding.validation import Row
from croupier.features.encoding.vocabulary import WITH_WORDS, commonest, counts_of


class FeatureGathered(Protocol):
    """One feature, of which values come in parts."""

    def add(self, values: Sequence[Any]) -> None:
        """Takes the next raw values, None where missing."""

    def fitted(self) -> Fitted:
        """Returns the feature as it is fitted on all values so far."""


class WordsGathered:
    """A feature of categories or tags: how many of `n` values have each word, and how many have any."""

    def __init__(self, name: str, feature: Feature) -> None:
        self.name, self.feature = name, feature
        self.counts, self.n, self.present = Counter[str](), 0, 0

    def add(self, values: Sequence[Any]) -> None:
        """Takes the next values."""
        found = counts_of(self.feature.type, values)
        self.counts.update(found)
        self.n += len(values)
        self.present += sum(map(bool, values)) if self.feature.type == "tags" else found.total()

    def fitted(self) -> Fitted:
        """Returns the feature with the words that its declaration admits."""
        vocabulary = commonest(self.counts, self.feature)
        return Fitted(name=self.name, type=self.feature.type, vocabulary=vocabulary, profile=self.profile(vocabulary))

    def profile(self, vocabulary: Sequence[str]) -> Profile:
        """Returns what the values are like, with a share for each word of a vocabulary."""
        return Profile.of_words(self.counts, vocabulary, self.n, self.present)


class ShapeGathered:
    """A feature of which a fit counts the missing values alone: an embedding, or a time."""

    def __init__(self, name: str, feature: Feature) -> None:
        self.name, self.feature, self.n, self.missing = name, feature, 0, 0

    def add(self, values: Sequence[Any]) -> None:
        """Takes the next values."""
        self.n += len(values)
        self.missing += sum(value is None for value in values)

    def fitted(self) -> Fitted:
        """Returns the feature as it is declared, with the share of missing values."""
        profile = Profile(n=self.n, missing=self.missing / max(self.n, 1))
        return Fitted(name=self.name, type=self.feature.type, length=self.feature.length, profile=profile)


def gathered(name: str, feature: Feature) -> FeatureGathered:
    """Returns what gathers a feature of this declaration."""
    if feature.type == "numeric":
        return NumbersGathered(name, feature)
    return WordsGathered(name, feature) if feature.type in WITH_WORDS else ShapeGathered(name, feature)


class ScopeGathered:
    """The declared features of one scope, by name."""

    def __init__(self, declared: Mapping[str, Feature]) -> None:
        self.features = {name: gathered(name, feature) for name, feature in declared.items()}

    def __bool__(self) -> bool:
        return bool(self.features)

    def add(self, rows: Sequence[Row]) -> None:
        """Takes the next raw rows."""
        for name, feature in self.features.items():
            feature.add([row.get(name) for row in rows])

    def fitted(self) -> list[Fitted]:
        """Returns the features as they are fitted on all rows so far."""
        return [feature.fitted() for feature in self.features.values()]
