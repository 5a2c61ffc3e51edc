"""What an interval's values of a feature come to, added up some rows at a time: as Python objects all would take
several kilobytes a row."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl

from croupier.features.encoding.columns import Columns
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.fitted import Fitted
from croupier.features.encoding.profile import Profile, bins_of, shares_of
from croupier.features.encoding.vocabulary import WITH_WORDS, counts_of, present_in

COLUMNS = ("context", "arm_context")
ROWS = 20_000  # whose values stand in memory together


class SeenValues:
    """Values in the bins of the feature's training profile: `n` of them, of which `present` are not missing and
    `outside` lie beyond the numbers seen in training."""

    def __init__(self, feature: Fitted) -> None:
        self.feature = feature
        self.n = self.present = self.outside = 0
        self._known = frozenset(feature.vocabulary)
        self._words, self._bins = Counter[Any](), np.zeros(len(feature.profile.cuts) + 1, np.int64)

    def add(self, values: Sequence[Any]) -> None:
        """Counts some more values."""
        f = self.feature
        self.n += len(values)
        if f.type in WITH_WORDS:
            words = counts_of(f.type, values)
            self.present += present_in(f.type, values, words)
            for word, n in words.items():
                self._words[word if word in self._known else None] += n  # unknown ones together: they have no end
            return
        present = [v for v in values if v is not None]
        self.present += len(present)
        if f.type == "numeric" and present:
            numbers, trained = np.array(present, np.float64), f.profile
            self._bins += bins_of(numbers, trained.cuts)
            self.outside += int(((numbers < trained.low) | (numbers > trained.high)).sum())

    @property
    def profile(self) -> Profile:
        """What was seen so far; no shares where the feature has none."""
        if self.feature.type in WITH_WORDS:
            return Profile.of_words(self._words, self.feature.vocabulary, self.n, self.present)
        shares = shares_of(self._bins) if self._bins.any() else ()
        return Profile(n=self.n, missing=1 - self.present / self.n if self.n else 0.0, shares=shares)


def of_interactions(parts: Iterable[pl.DataFrame], encoder: Encoder) -> tuple[list[SeenValues], list[SeenValues]]:
    """Returns the values of the context's features, and of those of pairs, in interactions (arrow.INTERACTIONS) that
    come in parts, of which COLUMNS are read."""
    seen = of_columns(encoder.context), of_columns(encoder.pair)
    for part in parts:
        add_interactions(*seen, part)
    return seen


def add_interactions(of_context: Sequence[SeenValues], of_pairs: Sequence[SeenValues], rows: pl.DataFrame) -> None:
    """Counts the features of contexts and pairs of some more interactions."""
    for part in rows.select(COLUMNS).iter_slices(ROWS):
        add(of_context, [orjson.loads(text) for text in part["context"]])
        add(of_pairs, [row for text in part["arm_context"] for row in orjson.loads(text)])


def of_columns(columns: Columns) -> list[SeenValues]:
    """Nothing seen yet of any feature of these columns."""
    return [SeenValues(f) for f in columns.features]


def add(seen: Sequence[SeenValues], rows: Sequence[Mapping[str, Any]]) -> None:
    """Counts the features of some more rows."""
    for each in seen:
        each.add([row.get(each.feature.name) for row in rows])
