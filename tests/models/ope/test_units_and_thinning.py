"""Design effects and thinned rows by hand, to the value. (A mutant of each passed once: tests/faults/README.md.)"""

from math import inf

import numpy as np
import pytest

from croupier.models.ope import estimators as op
from croupier.models.ope.estimators import Moments, Rounds


def test_the_jackknife_effect_by_hand():
    """Values 3, 1, 2, 0 with mean 1.5: deviations 1.5, −.5, .5, −1.5; units have rows 2, 1, 1."""
    values, unit = np.array([3.0, 1.0, 2.0, 0.0]), np.array([0, 0, 1, 2])
    together = np.array([1.0 / (1 - 2 / 4), 0.5 / (1 - 1 / 4), -1.5 / (1 - 1 / 4)])
    assert op.jackknife_effect(values, unit) == pytest.approx(np.square(together).sum() / 5.0)
    assert op.jackknife_effect(values + 1000.0, unit) == pytest.approx(np.square(together).sum() / 5.0)
    deviations = np.array([1.5, 0.5, -0.5, -1.5])
    assert op.design_effect(deviations, np.array([0, 0, 1, 1])) == pytest.approx(8.0 / 5.0)
    assert op.design_effect(deviations, np.array([0, 1, 1, 0])) == 1.0, "never less than independent rows"


def test_one_unit_with_all_rows_says_nothing_and_one_row_is_one():
    assert op.jackknife_effect(np.array([1.0, 2.0, 3.0]), np.zeros(3, int)) == inf
    assert op.jackknife_effect(np.array([7.0]), np.zeros(1, int)) == 1.0


def test_where_one_unit_has_all_rows_but_one_its_share_is_not_beyond_what_the_rows_can_tell():
    values, unit = np.array([1.0, 1.0, 1.0, 5.0]), np.array([0, 0, 0, 1])  # deviations −1, −1, −1, 3
    together = np.array([-3.0 / (1 - 3 / 4), 3.0 / (1 - 1 / 4)])
    assert op.jackknife_effect(values, unit) == pytest.approx(np.square(together).sum() / 12.0)


def test_thinned_values_have_the_weighted_mean_and_each_its_own_value():
    values, thinning = np.array([2.0, 4.0, 10.0]), np.array([1.0, 1.0, 4.0])
    centre = 46.0 / 6.0
    found = op.unthinned(values, thinning)
    assert found == pytest.approx([centre + (v - centre) * t / 2.0 for v, t in zip(values, thinning, strict=True)])
    assert found.mean() == pytest.approx(centre)
    assert op.unthinned(values, np.full(3, 4.0)) is values


def test_marginal_weights_by_hand():
    rounds = Rounds(
        reward=np.array([1.0, 0.0, 2.0]), propensity=np.full(3, 0.1), target=np.full(3, 0.2),
        predicted=np.zeros(3), direct=np.zeros(3), thinning=np.ones(3),
    )  # fmt: skip
    found = op.mips(rounds, group_target=np.array([0.6, 0.5, 0.2]), group_propensity=np.array([0.3, 0.5, 0.8]))
    assert found == pytest.approx([2.0, 0.0, 0.5])


def test_moments_of_hand_made_values():
    m = Moments.of(np.array([1.0, 2.0, 3.0, 6.0]))
    assert (m.n, m.mean, m.m2) == (4.0, 3.0, 14.0)
    assert m.variance == pytest.approx(14 / 3)
    assert m.standard_error == pytest.approx(np.sqrt(14 / 3 / 4))
    assert Moments(1.0, 5.0, 0.0).variance == inf
