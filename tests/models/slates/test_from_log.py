"""Slates put together from a log of single decisions: the same estimates, and no half slates."""

import numpy as np
import pytest

from croupier.models.ope.estimators import Rounds
from croupier.models.slates.estimators import SLATE_ESTIMATORS, cascade_dr, rips, sips
from croupier.models.slates.from_log import placed, slates_of
from tests.models.slates.small_world import PI, SLOTS, P, cascade, every_slate_once, expected


def shuffled():
    """Every slate of the small world once as rows of single slots, in no order, with events SLATE/PLACE."""
    whole = every_slate_once(cascade())
    order = np.random.default_rng(0).permutation(whole.reward.size)
    names = ("reward", "predicted", "direct", "target")
    rows = Rounds(
        propensity=whole.logged.ravel()[order],
        thinning=np.ones(len(order)),
        **{name: getattr(whole, name).ravel()[order] for name in names},
    )
    return whole, rows, [f"s{i // SLOTS}/{i % SLOTS}" for i in order]


def test_rows_side_by_side_are_the_slates():
    whole, rows, events = shuffled()
    places = placed(events, SLOTS)
    found = slates_of(rows, places)
    number = [int(events[row].partition("/")[0][1:]) for row in places[:, 0]]
    for estimator in (sips, rips, cascade_dr):
        values = np.empty(len(P))
        values[number] = estimator(found)
        assert values == pytest.approx(estimator(whole), abs=1e-12)
        assert expected(values) == pytest.approx(float(PI @ cascade().sum(axis=1)), abs=1e-12)


def test_half_slates_and_what_is_no_slot_are_left_out():
    events = ["a/1", "b/0", "a/0", "c", "d/x", "b/2", "e/0", "e/1", "e/2", "/0", "long/id/1", "long/id/0"]
    assert placed(events, 2).tolist() == [[2, 0], [11, 10]]
    with pytest.raises(ValueError, match="found 4 slates in 12 rows, none of 4 slots"):
        placed(events, 4)


def test_a_thinned_slate_counts_for_the_product():
    half = {name: np.full(2, 0.5) for name in ("reward", "propensity", "target", "predicted", "direct")}
    rounds = Rounds(**half, thinning=np.array([2.0, 4.0]))
    assert slates_of(rounds, np.array([[0, 1]])).thinning.tolist() == [8.0]


@pytest.mark.parametrize("name", ["iips", "sniips", "pi", "wpi", "pi_cv", "pi_cvs"])
def test_what_needs_more_than_the_log_has_says_so(name):
    _, rows, events = shuffled()
    with pytest.raises(ValueError, match=r"found no (marginals|pseudoinverse weights)"):
        SLATE_ESTIMATORS[name](slates_of(rows, placed(events, SLOTS)))
