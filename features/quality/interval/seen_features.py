"""An interval's features against the encoder's training window."""

from collections.abc import Iterator
from math import log, sqrt
from typing import Any

import polars as pl

from croupier.features.encoding import inline, profile
from croupier.features.encoding.columns import Columns
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.vocabulary import WITH_WORDS
from croupier.features.quality import seen_values
from croupier.features.quality.audit import ALPHA
from croupier.features.quality.interval.measure import Measure, at_most
from croupier.features.quality.seen_values import SeenInteractions, SeenValues

CHANGE = 0.05  # of a share of missing, unknown or out-of-range values, against training
MOVED = 0.2  # share of a feature's values that may have moved to other bins


class SeenFeatures:
    """The features of contexts and pairs, and, where requests bring arms along, of these."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._seen, self._brought = encoder, SeenInteractions(encoder), dict[Any, Any]()

    def add(self, df: pl.DataFrame, *, inline_arms: bool) -> None:
        """Counts some more interactions; with `inline_arms` the arms that they brought along, each once: there are no
        others then, and the encoder was fitted on both together."""
        self._seen.add(df)
        if inline_arms:
            inline.brought(df, self._brought)

    def measures(self) -> Iterator[Measure]:
        """Yields what there is to say of each feature that was seen, in training and now."""
        of_arms = seen_values.of_columns(self._encoder.arm)
        seen_values.add(of_arms, list(self._brought.values()))
        encoder, seen = self._encoder, self._seen
        for columns, each in ((encoder.context, seen.context), (encoder.pair, seen.pairs), (encoder.arm, of_arms)):
            for values in each:
                if values.n and values.feature.profile.n:
                    yield from _feature(columns, values)


def _feature(columns: Columns, seen: SeenValues) -> Iterator[Measure]:
    """Measures a feature against training: share missing; unknown or out of range; moved between bins."""
    f, now = seen.feature, seen.profile
    name, trained = f"{columns.scope}.{f.name}", f.profile
    slack = CHANGE + sqrt(log(1 / ALPHA) / (2 * seen.n))
    limit = trained.missing + slack
    yield at_most(f"missing_share {name}", now.missing, limit, f"missing about as often as in training ({name})")
    if not trained.shares or not now.shares:
        return
    if f.type in WITH_WORDS:
        says = f"few categories unknown to the encoder ({name})"
        yield at_most(f"unknown_share {name}", now.shares[-1], trained.shares[-1] + slack, says)
    else:
        outside = seen.outside / seen.present
        says = f"few values outside {trained.low:g} to {trained.high:g} ({name})"
        yield at_most(f"outside_range {name}", outside, slack, says)
    limit = MOVED + profile.chance(len(now.shares), min(seen.n, trained.n))
    says = f"spread as in training ({name}): share of values that moved"
    yield at_most(f"moved {name}", profile.moved(now.shares, trained.shares), limit, says)
