"""Slates put together from a log of single decisions: the same estimates, and no half slates."""

import numpy as np
import pytest

from croupier.models.ope.estimators import Rounds
from croupier.models.slates.estimators import SLATE_ESTIMATORS, cascade_dr, rips, sips
from croupier.models.slates.from_log import LoggedSlates, slates_of
from tests.models.slates.small_world import PI, SLOTS, P, cascade, every_slate_once, expected


def shuffled():
    """Every slate of the small world once as rows of single slots, in no order; and which slate's slot each is."""
    whole = every_slate_once(cascade())
    order = np.random.default_rng(0).permutation(whole.reward.size)
    names = ("reward", "predicted", "direct", "target")
    rows = Rounds(
        propensity=whole.logged.ravel()[order],
        thinning=np.ones(len(order)),
        **{name: getattr(whole, name).ravel()[order] for name in names},
    )
    return whole, rows, np.column_stack([order // SLOTS, order % SLOTS, np.full(len(order), SLOTS)])


def test_rows_side_by_side_are_the_slates():
    whole, rows, slots = shuffled()
    slates = LoggedSlates.of(slots, np.ones(len(slots)))
    found = slates_of(rows, slates)
    number = slots[slates.first, 0]
    assert np.all(np.diff(slates.first) > 0)
    for estimator in (sips, rips, cascade_dr):
        values = np.empty(len(P))
        values[number] = estimator(found)
        assert values == pytest.approx(estimator(whole), abs=1e-12)
        assert expected(values) == pytest.approx(float(PI @ cascade().sum(axis=1)), abs=1e-12)


SLOTTED = np.array([[7, 1, 2], [8, 0, 3], [7, 0, 2], [0, 0, 0], [9, 0, -1], [8, 2, 3], [5, 0, 1], [0, 0, 0], [6, 1, 2]])


def test_half_slates_are_left_out_and_decisions_are_slates_of_one_slot():
    found = LoggedSlates.of(SLOTTED, np.ones(9))
    assert found.rows.tolist() == [[2, 0], [3, -1], [6, -1], [7, -1]]
    assert (found.k, len(found), found.kept.tolist()) == (2, 4, [0, 2, 3, 6, 7])
    assert found.spread(np.arange(9.0), -5.0).tolist() == [[2, 0], [3, -5], [6, -5], [7, -5]]
    with pytest.raises(ValueError, match="found none whole among 1 rows"):
        LoggedSlates.of(SLOTTED[4:5], np.ones(1))


def test_what_fills_up_a_short_slate_changes_no_estimate():
    rounds = Rounds(
        reward=np.array([1.0, 0.5, 2.0]),
        propensity=np.array([0.5, 0.25, 0.4]),
        target=np.array([0.75, 0.5, 0.2]),
        predicted=np.array([0.3, 0.2, 0.1]),
        direct=np.array([0.4, 0.1, 0.6]),
        thinning=np.ones(3),
    )
    both = slates_of(rounds, LoggedSlates.of(np.array([[1, 0, 2], [1, 1, 2], [0, 0, 0]]), np.ones(3)))
    assert sips(both) == pytest.approx([3 * 1.5, 0.5 * 2])
    assert rips(both) == pytest.approx([1.5 * 1 + 3 * 0.5, 0.5 * 2])
    assert cascade_dr(both) == pytest.approx([1.5 * 0.7 + 0.4 + 3 * 0.3 + 1.5 * 0.1, 0.5 * 1.9 + 0.6])


def test_a_thinned_slate_counts_for_the_product_and_a_sampled_one_once():
    slots = np.array([[1, 0, 2], [1, 1, 2], [2, 0, 2], [2, 1, 2], [3, 0, 1]])
    weight = 5.0 * np.array([2.0, 4.0, 1.0, 1.0, 1.0])  # one in five of all slates; of these, some slots were thinned
    found = LoggedSlates.of(slots, weight)
    assert found.rows.tolist() == [[0, 1], [2, 3]], "in a thinned log a slate of one slot may have lost its second"
    assert found.thinning(weight).tolist() == [40.0, 5.0]
    assert len(LoggedSlates.of(slots, np.full(5, 5.0))) == 3


@pytest.mark.parametrize("name", ["iips", "sniips", "pi", "wpi", "pi_cv", "pi_cvs"])
def test_what_needs_more_than_the_log_has_says_so(name):
    _, rows, slots = shuffled()
    with pytest.raises(ValueError, match=r"found no (marginals|pseudoinverse weights)"):
        SLATE_ESTIMATORS[name](slates_of(rows, LoggedSlates.of(slots, np.ones(len(slots)))))
