"""Whom arms suit, learnt from decisions that showed them: of known truth, where arms are rarely shown to many."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from croupier.models.constraints.suiting import MOST_WEIGHT, RESAMPLED, ShownDecisions


def made(x, reward, mass, group):
    group = np.asarray(group, dtype=np.int64)
    return ShownDecisions(x=x, reward=reward, mass=mass, kept=np.ones(len(x)), group=group)


def of(x):
    """The groups of requests."""
    return x[:, 1].astype(np.int64)


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
    told = made(x[shown], reward[shown], mass[shown], x[shown, 1])
    return x, chance, mass, told, np.where(shown, reward / mass, 0.0)


def gap(weight, mass, group):
    return np.subtract(*[np.average(mass[group == g], weights=weight[group == g]) for g in (1, 0)])


def errors(runs):
    """Of the gap among whom the arm suits: as it is learnt, and by rewards over probabilities alone; and what was said
    of the first."""
    found = []
    for seed in range(runs):
        x, chance, mass, told, weighted = decided(seed)
        group, suits = x[:, 1], told.suits(x, of(x))
        true, each = gap(chance, mass, group), [gap(w, mass, group) for w in suits]
        found.append((each[0] - true, gap(weighted, mass, group) - true, np.std(np.array(each[1:]) - each[0])))
    return np.array(found)


@pytest.mark.medium
def test_the_gap_is_known_within_two_points_where_weighted_rewards_say_nothing():
    learnt, weighted, said = errors(20).T
    assert np.sqrt((learnt**2).mean()) < 0.02, "with one regression for both .006, which errs where they differ"
    assert np.sqrt((weighted**2).mean()) > 2 * np.sqrt((learnt**2).mean())
    assert said.mean() == pytest.approx(learnt.std(), rel=0.5), "resampling says how far other luck leads"


def test_totals_of_each_group_are_those_of_the_weighted_log():
    """The normal equation of each group's constant: Σ weight (r − found) is 0, but for the ridge."""
    _, _, _, told, _ = decided(0)
    weight = np.minimum(1 / told.mass, MOST_WEIGHT)
    found = told.suits(told.x, of(told.x))[0]
    for group in (0, 1):
        mine = told.x[:, 1] == group
        assert (weight * found)[mine].sum() == pytest.approx((weight * told.reward)[mine].sum(), rel=0.003)


def test_a_feature_that_says_the_opposite_of_another_group_is_learnt_of_each():
    rng = np.random.default_rng(5)
    x, group = rng.normal(size=(8_000, 2)), rng.integers(2, size=8_000)
    chance = expit(-0.5 + np.where(group, 1.5, -1.5) * x[:, 0])
    told = made(x, (rng.random(8_000) < chance).astype(float), np.full(8_000, 0.5), group)
    assert np.abs(told.suits(x, group)[0] - chance).mean() < 0.1
    alike = told.suits(x, np.full(8_000, -1))[0]
    assert np.abs(alike - chance).mean() > 0.2, "what is of no group goes by what all say"


def test_a_group_of_few_decisions_goes_by_what_all_say():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(4_000, 1))
    group = np.where(np.arange(4_000) < 6, 1, 0)
    chance = expit(-1 + x[:, 0])
    told = made(x, (rng.random(4_000) < chance).astype(float), np.ones(4_000), group)
    few = told.suits(x, np.ones(4_000, dtype=np.int64))[0]
    assert np.abs(few - chance).mean() < 0.12
    assert np.abs(told.suits(x, np.zeros(4_000, dtype=np.int64))[0] - chance).mean() < 0.02


def test_a_thinned_log_says_the_same_and_twice_the_same_answer():
    x, chance, _, told, _ = decided(1)
    kept = np.where(told.reward > 0, 1.0, 0.5)
    some = np.random.default_rng(3).random(len(kept)) < kept
    thinned = replace(
        told, **{name: getattr(told, name)[some] for name in ("x", "reward", "mass", "group")}, kept=kept[some]
    )
    assert thinned.suits(x, of(x))[0].mean() == pytest.approx(told.suits(x, of(x))[0].mean(), rel=0.12)
    assert told.suits(x, of(x))[0].mean() == pytest.approx(chance.mean(), rel=0.1)
    np.testing.assert_array_equal(told.suits(x, of(x)), told.suits(x, of(x)))
    assert told.suits(x, of(x)).shape == (1 + RESAMPLED, len(x))


def test_features_that_never_differ_and_rewards_of_no_one_are_no_trouble():
    told = made(np.ones((5, 2)), np.zeros(5), np.full(5, 0.5), np.zeros(5))
    found = told.suits(np.array([[1.0, 7.0]] * 3), np.array([0, 1, -1]))  # a group without decisions, and none
    assert ((found > 0) & (found < 0.01)).all()


@pytest.mark.parametrize(("reward", "mass", "why"), [
    (1.5, 0.5, "reward: found one outside"),
    (np.nan, 0.5, "reward: found one outside"),
    (1.0, 0.0, "mass: found 0 to 0, expected probabilities above 0"),
    (1.0, np.nan, "mass: found nan"),
])  # fmt: skip
def test_what_is_no_decision_is_refused(reward, mass, why):
    with pytest.raises(ValueError, match=why):
        made(np.ones((2, 1)), np.full(2, reward), np.full(2, mass), np.zeros(2))
