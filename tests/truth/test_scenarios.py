"""Forgetting recovers from a turn of tastes; features spare newcomers the cold start, and news all of it. `models/README.md` has the curves."""

import numpy as np
import pytest

from croupier.models.bayesian.linear import LinTS
from croupier.models.simulation import scenarios


@pytest.mark.parametrize("seeds", [1, pytest.param(10, marks=pytest.mark.full)])
def test_discounting_recovers_within_a_fifth_of_the_horizon(seeds):
    """After 20 % of the horizon, ≥ 80 % of the best policy's lift over uniform; without forgetting, below uniform."""
    rounds, fifth = 8000, 8000 // 5 // scenarios.BLOCK
    half = rounds // 2 // scenarios.BLOCK
    after = {}
    for half_life in (0.0, 300.0):
        curve = np.mean(
            [scenarios.flip(LinTS(half_life=half_life), rounds=rounds, seed=s) for s in range(seeds)], axis=0
        )
        assert curve[half - 20 : half].mean() > 0.85
        after[half_life] = curve[half + fifth : half + 2 * fifth].mean()
    assert after[300.0] > 0.8
    assert after[0.0] < 0


@pytest.mark.parametrize("seeds", [2, pytest.param(10, marks=pytest.mark.full)])
def test_newcomers_are_served_from_their_features_at_once(seeds):
    shares = {
        heads: np.nanmean([scenarios.newcomers(LinTS(heads=heads), rounds=500, seed=s) for s in range(seeds)])
        for heads in ("shared", "per_arm")
    }
    assert shares["shared"] > shares["per_arm"] + 0.1


@pytest.mark.parametrize("seeds", [2, pytest.param(10, marks=pytest.mark.full)])
def test_of_articles_that_live_for_minutes_features_tell_what_ids_cannot(seeds):
    """0 is uniform, 1 the best there is; ids are learnt for as long as an article lives, and that is too short."""
    late = {
        heads: np.mean([scenarios.news(LinTS(heads=heads), rounds=2000, seed=s)[20:].mean() for s in range(seeds)])
        for heads in ("shared", "per_arm")
    }
    assert late["shared"] > 0.8
    assert 0 < late["per_arm"] < late["shared"] - 0.25
