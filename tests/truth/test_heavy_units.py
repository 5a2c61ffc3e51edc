"""Heavy units with tastes of their own promote no null candidate, by the divisor and by the condition each."""

import numpy as np
import pytest

from croupier.models.ope.estimators import design_effect, effective_units, jackknife_effect
from tests.truth import heavy_units


def test_the_divisor_by_hand():
    """Two units of two rows and one of four: shares a quarter, a quarter and a half."""
    unit, values = np.array([0, 0, 1, 1, 2, 2, 2, 2]), np.array([1.0, 0, 1, 1, 0, 0, 1, 0])
    sums = np.array([0.0, 1.0, -1.0])  # about the mean of a half
    assert jackknife_effect(values, unit) == pytest.approx(((sums / [0.75, 0.75, 0.5]) ** 2).sum() / 2.0)
    assert design_effect(values - 0.5, unit) == pytest.approx(1.0)
    assert effective_units(unit) == pytest.approx(64 / 24)
    assert jackknife_effect(values, np.zeros(8, np.int64)) == np.inf
    once = np.arange(8)
    assert jackknife_effect(values, once) == pytest.approx((8 / 7) ** 2)


@pytest.mark.medium
def test_a_small_size_of_the_table():
    few = [heavy_units.promoted(1.8, seed, min_units=1.0) for seed in range(40)]
    assert sum(few) <= 4, "GATE.md: 5 % of 200; 14.5 % without the divisor"
    assert not any(heavy_units.promoted(1.8, seed) for seed in range(10))
    assert not any(heavy_units.promoted(1.2, seed) for seed in range(20))
