"""The bound of the running value: by hand, as often as stated, and what it refuses."""

import numpy as np
import pytest

from croupier.models.constraints.running_value import BETS, RunningValue

FREE = RunningValue(alpha=0.1, delta=0.05)


def counted(n=1, value=FREE, **changed):
    """`value` with n decisions alike."""
    row = {"reward": 1.0, "ratio": 0.5, "share": 0.1, "kept": 1.0} | changed
    return value.counting(**{name: np.full(n, float(each)) for name, each in row.items()})


def test_sums_and_wealth_by_hand():
    """X = 1 − .9 · .5 = .55 of each of three rewarded decisions; wealth of a bet λ is (1 + .55 λ)³."""
    found = counted(3)
    assert (found.rows, found.value, found.baseline, found.used) == (3.0, 3.0, 1.5, 0.0)
    assert found.explored == pytest.approx(0.3)
    np.testing.assert_allclose(found.growth, 3 * np.log1p(0.55 * BETS))
    wealth = np.mean(np.exp(np.array(found.growth) - BETS * found.lower))
    assert wealth == pytest.approx(20.0), "the bound is where the mean wealth is 1 / δ"
    assert found.lower < 3 * 0.55
    assert found.budget == found.lower
    thinned = counted(3, kept=0.5)
    assert (thinned.rows, thinned.value, thinned.baseline) == (6.0, 6.0, 3.0)
    np.testing.assert_allclose(thinned.growth, 3 * np.log1p(1.1 * BETS))


def test_parts_add_as_the_whole_does_and_survive_the_store():
    rng = np.random.default_rng(3)
    rows = {"reward": rng.random(50), "ratio": rng.random(50), "share": np.full(50, 0.4), "kept": np.ones(50)}
    whole = FREE.counting(**rows)
    parts = FREE.counting(**{k: v[:20] for k, v in rows.items()}).counting(**{k: v[20:] for k, v in rows.items()})
    np.testing.assert_allclose(parts.growth, whole.growth)
    assert parts.used == pytest.approx(whole.used) == pytest.approx(50 * 0.3)
    assert RunningValue.of_body(whole.to_body()).to_body() == whole.to_body()
    assert RunningValue.of_body(whole.to_body()).lower == whole.lower


def test_a_bet_too_large_for_a_row_is_gone_for_good_whatever_the_row_earned():
    """With share .7 a row may lose .9 / .3 − 1 = 2: bets of 1/2 and more could lose everything."""
    for reward, ratio in ((0.0, 0.0), (1.0, 0.0), (1.0, 3.0)):
        found = counted(reward=reward, ratio=ratio, share=0.7)
        np.testing.assert_array_equal(np.isfinite(found.growth), BETS < 0.5)
        again = counted(100, found)
        np.testing.assert_array_equal(np.isfinite(again.growth), BETS < 0.5)
        assert np.isfinite(again.lower)


def test_nothing_counted_certifies_nothing_and_little_certifies_less():
    assert FREE.lower == 0.0
    assert FREE.budget == 0.0
    assert counted().lower < 0
    assert 0.85 * 550 < counted(1000).lower < 550


@pytest.mark.parametrize(("changed", "said"), [
    ({"reward": 1.2}, "reward: found 1.2 to 1.2, expected 0 to 1"),
    ({"reward": -0.1}, "reward: found -0.1"),
    ({"reward": np.nan}, "reward: found nan"),
    ({"ratio": 1.2}, "ratio: found 1.2, expected at most 1 / "),
    ({"ratio": np.nan}, "ratio: found nan"),
    ({"share": 1.0}, "share: found one outside"),
    ({"share": np.nan}, "share: found one outside"),
    ({"kept": 0.0}, "a row that no log keeps"),
])  # fmt: skip
def test_what_no_decision_can_have_is_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        counted(**changed)


def test_shares_outside_0_and_1_are_refused():
    for alpha, delta in ((0.0, 0.1), (1.0, 0.1), (0.1, 0.0), (0.1, 1.0), (np.nan, 0.1)):
        with pytest.raises(ValueError, match="expected a share between 0 and 1"):
            RunningValue(alpha=alpha, delta=delta)
    for changed, said in (
        ({"growth": [0.0, 0.0]}, "growth: found 2 bets, expected 11"),
        ({"growth": "no"}, "growth: found 0 bets"),
        ({"rows": "7"}, "running value: found '7', expected numbers"),
        ({"more": 1.0}, "expected alpha, delta, rows"),
    ):
        with pytest.raises(ValueError, match=said):
            RunningValue.of_body(FREE.to_body() | changed)


def missed(seed, *, rows=400, block=40, share=0.6, careless=False):
    """True if the bound was ever above the truth, in a run whose values drift; looked at after each block."""
    rng, found, truth = np.random.default_rng(seed), FREE, 0.0
    for start in range(0, rows, block):
        chance = np.array([0.9, 0.1]) if start < rows / 2 else np.array([0.1, 0.9])
        p = (1 - share) * 0.5 + share * np.array([0.95, 0.05])
        arm = (rng.random(block) > p[0]).astype(int)
        reward = (rng.random(block) < chance[arm]).astype(float)
        truth += block * float(p @ chance - 0.9 * chance.mean())
        found = found.counting(reward, 0.5 / p[arm], np.full(block, share), np.ones(block))
        bound = found.value - 0.9 * found.baseline if careless else found.lower
        if bound > truth + 1e-9:
            return True
    return False


@pytest.mark.medium
def test_the_bound_is_true_at_all_times_as_often_as_stated():
    assert np.mean([missed(seed) for seed in range(100)]) <= 0.05
    assert np.mean([missed(seed, careless=True) for seed in range(20)]) > 0.5, "the estimate by itself is none"
