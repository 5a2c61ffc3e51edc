"""What each feature says of the reward, when the champion was trained and in the last day: |r|, and nats."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.history import FeatureHours, History
from croupier.models.health.learning.information import information, table
from croupier.models.health.season import DAY_HOURS

MOST = 30  # features that are shown, those that said most first


@dataclass(frozen=True, kw_only=True)
class FeatureTelling:
    """`r` and `nats` are |r| and the mutual information of the training's hours, `r_now` and `nats_now` of the last
    day; None where that is not known, such as the |r| of a category."""

    name: str
    r: float | None
    r_now: float | None
    nats: float | None
    nats_now: float | None

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON."""
        return asdict(self)


def telling(
    history: History, span: tuple[int, int] | None = None, *, more: Mapping[str, FeatureHours] | None = None
) -> tuple[FeatureTelling, ...]:
    """Returns the features' figures, and those of `more` features (of_arms.py). `span`: from and to when the training's
    rows are, UTC µs; None, or where none of those hours is known: all hours before the last day."""
    T = len(history)
    first, last = (int(x) for x in np.searchsorted(history.start, span)) if span else (0, 0)
    if first == last:
        first, last = 0, max(T - DAY_HOURS, 0)
    features = {**history.features, **(more or {})}
    found = [_of(name, feature, (first, last), (max(T - DAY_HOURS, 0), T)) for name, feature in features.items()]
    return tuple(sorted(found, key=lambda each: (-(each.nats or 0.0), each.name))[:MOST])


def _of(name: str, feature: FeatureHours, training: tuple[int, int], day: tuple[int, int]) -> FeatureTelling:
    (r, r_now), (nats, nats_now) = ([of(feature, *hours) for hours in (training, day)] for of in (_r, _nats))
    return FeatureTelling(name=name, r=r, r_now=r_now, nats=nats, nats_now=nats_now)


def _r(feature: FeatureHours, first: int, last: int) -> float | None:
    """|r| within hours."""
    sums: F64 = feature.reward[first:last].sum(axis=0)
    square = float(sums[2] * sums[4])
    return abs(float(sums[5])) / square**0.5 if square > 0 else None


def _nats(feature: FeatureHours, first: int, last: int) -> float | None:
    made = table(feature, first, last)
    return max(information(made), 0.0) if made[0].sum() else None
