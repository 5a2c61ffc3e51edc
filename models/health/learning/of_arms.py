"""The catalogue's features over the hours: the shown arms' values beside what was earned, from the sums by arm.

An arm that the catalogue does not know counts as one without the value. The values are those of the catalogue now. A
feature of arms is never watched: what a policy shows decides how much it varies, so a policy that has learnt what
everybody likes makes it say nothing more.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.declared.feature import Feature
from croupier.features.encoding.vocabulary import text_of
from croupier.features.schema import Arm
from croupier.models.health.history import FeatureHours, History, Series

KINDS = ("numeric", "categorical")
SCOPE = "arm"


def of_arms(history: History, arms: Sequence[Arm], declared: Mapping[str, Feature]) -> dict[str, FeatureHours]:
    """Returns the declared numbers and categories of arms, by scope and name, as hours of features."""
    known, sums = {arm.arm_id: arm.features for arm in arms}, history.sums[SCOPE]
    return {
        f"{SCOPE}.{name}": _feature(len(history), feature, {arm: known.get(arm, {}).get(name) for arm in sums}, sums)
        for name, feature in declared.items()
        if feature.type in KINDS and sums
    }


def _feature(T: int, feature: Feature, values: Mapping[str, Any], sums: Series) -> FeatureHours:
    """The feature over T hours; `values`: of each arm of the sums, None: it has none."""
    numeric = feature.type == "numeric"
    read: dict[str, Any] = {arm: _number(value) if numeric else text_of(value) for arm, value in values.items()}
    of = {arm: value for arm, value in read.items() if value is not None}
    keys = sorted(set(of.values()))
    told, shown = np.zeros((T, 2, len(keys) + 2)), np.zeros((T, len(keys) + 2))
    for arm, rows in sums.items():
        place = keys.index(of[arm]) if arm in of else -1
        told[:, 0, place] += rows[:, 0]
        told[:, 1, place] += rows[:, 3]
        shown[:, place] += rows[:, 0]
    return FeatureHours(
        type=feature.type,
        keys=tuple(map(str, keys)),
        counts=shown[:, :-2],
        rest=np.stack([shown[:, :-1].sum(axis=1), shown[:, -1], shown[:, -2]], axis=1),
        reward=_moments(T, of, sums) if numeric else np.zeros((T, 6)),
        told=told,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def _moments(T: int, x: Mapping[str, float], sums: Series) -> F64:
    """Returns (T, 6): n, mean x, Σ(x − x̄)², mean r, Σ(r − r̄)², Σ(x − x̄)(r − r̄) of the arms that have a value."""
    if not x:
        return np.zeros((T, 6))
    value = np.array(list(x.values()))
    n, total, square = (np.stack([sums[arm][:, k] for arm in x], axis=1) for k in range(3))
    rows = n.sum(axis=1)
    some = np.maximum(rows, 1.0)
    mean, earned = (n @ value) / some, total.sum(axis=1) / some
    apart = value - mean[:, None]
    return np.stack(
        [rows, mean, (n * apart**2).sum(axis=1), earned, square.sum(axis=1) - rows * earned**2,
         (apart * (total - n * earned[:, None])).sum(axis=1)], axis=1)  # fmt: skip
