"""Whom arms suit, learnt from decisions that showed them: of known truth, where arms are rarely shown to many."""

import numpy as np
import pytest
from scipy.special import expit

from croupier.models.constraints.suiting import MOST_WEIGHT, RESAMPLED, ShownDecisions


def decided(seed, n=16_000, least=0.015):
    """Requests (n, 3) of two groups, the true chance of a reward, and the decisions that showed the arm: to who likes it,
    and rarely to others. In group 1 it suits more, and is shown no more than in group 0."""
    rng = np.random.default_rng(seed)
    group = rng.random(n) < 1 / 3
    x = np.column_stack([rng.normal(size=n), group, ~group]).astype(np.float32)
    chance = expit(-1.5 + 0.6 * x[:, 0] + 0.8 * group)
    mass = least + (1 - 2 * least) * expit((x[:, 0] - 1) * 5)
    shown = rng.random(n) < mass
    reward = (rng.random(n) < chance).astype(float)
    told = ShownDecisions(x=x[shown], reward=reward[shown], mass=mass[shown], kept=np.ones(shown.sum()))
    return x, chance, mass, told, np.where(shown, reward / mass, 0.0)


def gap(weight, mass, group):
    return np.subtract(*[np.average(mass[group == g], weights=weight[group == g]) for g in (1, 0)])


def errors(runs):
    """Of the gap among whom the arm suits: as it is learnt, and by rewards over probabilities alone; and what was said
    of the first."""
    found = []
    for seed in range(runs):
        x, chance, mass, told, weighted = decided(seed)
        group, suits = x[:, 1], told.suits(x)
        true, each = gap(chance, mass, group), [gap(w, mass, group) for w in suits]
        found.append((each[0] - true, gap(weighted, mass, group) - true, np.std(np.array(each[1:]) - each[0])))
    return np.array(found)


@pytest.mark.medium
def test_the_gap_is_known_within_a_point_where_weighted_rewards_say_nothing():
    learnt, weighted, said = errors(20).T
    assert np.sqrt((learnt**2).mean()) < 0.01
    assert np.sqrt((weighted**2).mean()) > 3 * np.sqrt((learnt**2).mean())
    assert said.mean() == pytest.approx(learnt.std(), rel=0.5), "resampling says how far other luck leads"


def test_totals_of_each_group_are_those_of_the_weighted_log():
    """The normal equations of its constant and its groups: Σ weight (r − found) is 0, but for the ridge."""
    _, _, _, told, _ = decided(0)
    weight = np.minimum(1 / told.mass, MOST_WEIGHT)
    found = told.suits(told.x)[0]
    for group in (0, 1):
        mine = told.x[:, 1] == group
        assert (weight * found)[mine].sum() == pytest.approx((weight * told.reward)[mine].sum(), rel=0.003)


def test_a_thinned_log_says_the_same_and_twice_the_same_answer():
    x, chance, _, told, _ = decided(1)
    kept = np.where(told.reward > 0, 1.0, 0.5)
    some = np.random.default_rng(3).random(len(kept)) < kept
    thinned = ShownDecisions(x=told.x[some], reward=told.reward[some], mass=told.mass[some], kept=kept[some])
    assert thinned.suits(x)[0].mean() == pytest.approx(told.suits(x)[0].mean(), rel=0.12)
    assert told.suits(x)[0].mean() == pytest.approx(chance.mean(), rel=0.1)
    np.testing.assert_array_equal(told.suits(x), told.suits(x))
    assert told.suits(x).shape == (1 + RESAMPLED, len(x))


def test_features_that_never_differ_and_rewards_of_no_one_are_no_trouble():
    told = ShownDecisions(x=np.ones((5, 2)), reward=np.zeros(5), mass=np.full(5, 0.5), kept=np.ones(5))
    found = told.suits(np.array([[1.0, 7.0]]))
    assert ((found > 0) & (found < 0.01)).all()


@pytest.mark.parametrize(("reward", "mass", "why"), [
    (1.5, 0.5, "reward: found one outside"),
    (np.nan, 0.5, "reward: found one outside"),
    (1.0, 0.0, "mass: found 0 to 0, expected probabilities above 0"),
    (1.0, np.nan, "mass: found nan"),
])  # fmt: skip
def test_what_is_no_decision_is_refused(reward, mass, why):
    with pytest.raises(ValueError, match=why):
        ShownDecisions(x=np.ones((2, 1)), reward=np.full(2, reward), mass=np.full(2, mass), kept=np.ones(2))
