"""Must-show: how often the controller errs and how fast it is right, by its own rules on worlds of known truth.

The committed table (serving/ROLLOUT.md) has thousands of runs; here hundreds by default, with room for chance, and the
full size under `-m full`.
"""

import numpy as np
import pytest
from scipy.stats import binom

from croupier.features.spec import RolloutSpec
from croupier.serving.evidence import betting, guardrails, sample_ratio
from croupier.serving.simulation import compared_rules
from croupier.serving.simulation.rollout import (
    Bernoulli,
    latency_characteristics,
    sample_ratio_characteristics,
    simulate,
)
from croupier.serving.simulation.worlds import Reels

SPEC = RolloutSpec()


def chance(rate, runs):
    """Three standard errors."""
    return 3 * (rate * (1 - rate) / runs) ** 0.5


RUNS = [400, pytest.param(10_000, marks=pytest.mark.full)]


@pytest.mark.parametrize("runs", RUNS)
def test_identical_policies_are_rarely_aborted(runs):
    outcome = simulate(Bernoulli(), SPEC, runs=runs, looks=100, seed=1)
    assert outcome.aborted_by(200_000) <= 0.010 + chance(0.010, runs)


@pytest.mark.parametrize("runs", RUNS)
def test_thirty_percent_worse_is_caught_by_40_000_decisions(runs):
    outcome = simulate(Bernoulli(effect=-0.30), SPEC, runs=runs, looks=20, seed=2)
    assert outcome.aborted_by(40_000) >= 0.95 - chance(0.95, runs)
    assert outcome.median_abort() <= 16_000


@pytest.mark.parametrize("runs", RUNS)
def test_sixty_percent_worse_is_caught_by_8_000_decisions(runs):
    outcome = simulate(Bernoulli(effect=-0.60), SPEC, runs=runs, looks=4, seed=3)
    assert outcome.aborted_by(8_000) >= 0.95 - chance(0.95, runs)


@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize(("first", "caught"), [(0.05, 0.82), (0.07, 0.95), (0.10, 0.99)])
def test_sixty_percent_worse_is_caught_by_6_000_decisions_from_a_first_stage_of_seven_percent_on(first, caught, runs):
    spec = RolloutSpec(stages=(first, 0.20, 0.50, 1.0))
    outcome = simulate(Bernoulli(effect=-0.60), spec, runs=runs, looks=3, seed=3)
    assert outcome.aborted_by(6_000) >= caught - chance(caught, runs)


def test_what_the_frontier_allows_by_6_000_decisions():
    """The most powerful test there is (Neyman & Pearson 1933) of a click rate of 10 % against 4 %, both known, that looks
    once, at 6,000 decisions with 5 % of them the candidate's: 95 % only if more than half of all error is spent then."""
    candidates, power = 300, {}
    for alpha in (SPEC.alpha_harm, SPEC.alpha_harm / 2):
        fewest = np.searchsorted(binom.cdf(np.arange(candidates), candidates, 0.10), alpha, side="right") - 1
        assert binom.cdf(fewest, candidates, 0.10) <= alpha < binom.cdf(fewest + 1, candidates, 0.10)
        power[alpha] = binom.cdf(fewest, candidates, 0.04)
    assert power[SPEC.alpha_harm] == pytest.approx(0.981, abs=0.001)
    assert power[SPEC.alpha_harm / 2] == pytest.approx(0.941, abs=0.001)


@pytest.mark.parametrize("runs", [200, pytest.param(4000, marks=pytest.mark.full)])
@pytest.mark.parametrize("effect", [-0.30, -0.10, -0.02])
def test_a_worse_candidate_hardly_ever_reaches_everybody(effect, runs):
    outcome = simulate(Bernoulli(effect=effect), SPEC, runs=runs, seed=4)
    assert outcome.reached_by(300_000) <= 0.01 + chance(0.01, runs)


@pytest.mark.parametrize("runs", [100, pytest.param(4000, marks=pytest.mark.full)])
def test_a_ten_percent_better_one_reaches_everybody(runs):
    assert simulate(Bernoulli(effect=0.10), SPEC, runs=runs, seed=5).reached_by(300_000) >= 0.90


@pytest.mark.parametrize("runs", [60, pytest.param(400, marks=pytest.mark.full)])
def test_on_the_reels_world_doubly_robust_rewards_are_no_slower(runs):
    harm = simulate(Reels(-0.30), SPEC, runs=runs, looks=20, seed=6)
    assert harm.aborted_by(40_000) >= 0.95 - chance(0.95, runs)
    assert harm.median_abort() <= 16_000


def test_the_reels_world_is_worth_what_it_says():
    look = Reels(-0.30).look(np.full(100, 0.5), np.random.default_rng(0))
    candidate, champion = look.score[look.candidate].mean(), look.score[~look.candidate].mean()
    assert candidate / champion - 1 == pytest.approx(-0.30, abs=0.03)
    assert champion == pytest.approx(Reels(0.0).mean, abs=0.003), "doubly robust rewards are unbiased"


def test_an_effect_out_of_reach_is_refused():
    with pytest.raises(ValueError, match=r"effect: found 40, expected one between -0\.81 and 1\.56"):
        Reels(40.0)


def test_sample_ratio_alarms():
    for share, row in sample_ratio_characteristics(runs=2000).items():
        assert row["aa_alarm_rate"] <= 0.002 + chance(0.002, 2000), share
        assert row["caught_by_100000"] >= 0.99, share
        assert row["median_decisions"] <= {"5%": 35_000, "20%": 11_000, "50%": 7_000}[share]


@pytest.mark.parametrize("runs", [1000, pytest.param(10_000, marks=pytest.mark.full)])
def test_latency_alarms(runs):
    """Half of alpha_guardrails, 0.1 %, where the candidate is just as slow as it may be; 5 % slow decisions are seen."""
    for share, row in latency_characteristics(SPEC, runs=runs).items():
        assert row["aa_alarm_rate"] <= row["limit_alarm_rate"] <= 0.001 + chance(0.001, runs), share
        assert row["slow5_caught_by_40000"] >= 0.99, share
        assert row["slow5_median_decisions"] <= {"5%": 14_000, "20%": 5000, "50%": 2000}[share]


@pytest.mark.parametrize("runs", [150, pytest.param(2000, marks=pytest.mark.full)])
def test_hiccups_that_strike_a_batch_of_either_role_do_not_raise_false_alarms(runs):
    """20,000 decisions in batches of 16; of each batch a role's part is slow in 3 of 100 cases, all of it together."""
    rng, alarms = np.random.default_rng(7), 0
    n, size, ends = 20_000, 16, list(range(2000, 20_001, 2000))
    batch, level = np.arange(n) // size, np.log(2 / SPEC.alpha_guardrails)
    for _ in range(runs):
        assigned, share = rng.random(n) < 0.2, np.full(n, 0.2)
        slow = rng.random((n // size + 1, 2)) < 0.03 + np.array([0, guardrails.SLOW_SHARE])
        took = np.where(slow[batch, assigned.astype(int)], 90_000, 1_000)
        guard = guardrails.slowness(took, batch, assigned, 50.0)
        bets = guardrails.harm_bets(guard, assigned, share)
        assert bets.dispersion > 2
        alarms += bets.log_wealth(-guard.allowed, harm=True, ends=ends).max() >= level
    assert alarms / runs <= 0.001 + chance(0.001, runs)


def test_the_compared_rules_are_the_ones_described():
    """Kayenta's judge was measured elsewhere at 11.3 % false aborts over 20 looks, plain peeking at 17 %."""
    rules = compared_rules.characteristics(runs=1000)
    assert rules["kayenta"]["aa_abort_rate_20"] == pytest.approx(0.113, abs=0.03)
    assert rules["peeking"]["aa_abort_rate_20"] == pytest.approx(0.17, abs=0.035)
    assert rules["growthbook"]["aa_abort_rate_20"] <= 0.045
    assert rules["growthbook"]["harm30_caught"] >= 0.95


# ── the bets themselves ─────────────────────────────────────────────────────────────────────────────────────────────


def rows(n, effect, share, rng, *, units=None, spread=0.0, mean=0.1):
    """n decisions; with `units` fewer than n, units return and have rates of their own."""
    unit = np.arange(n) if units is None else rng.integers(units, size=n)
    place, taste = rng.random(unit.max() + 1), rng.normal(size=unit.max() + 1)
    candidate = place[unit] < share
    rate = np.clip(mean * (1 + effect * candidate) * np.exp(spread * taste[unit] - spread**2 / 2), 0, 1)
    score = (rng.random(n) < rate).astype(float)
    return betting.bets(candidate, np.full(n, share), score, unit.astype(np.uint64), width=1.0)


def test_wealth_is_the_likelihood_ratio_where_the_baseline_is_the_rate():
    """By hand: four decisions at share 0.5, baseline 0.5 (their own mean), effect e: factors 1 ∓ e·scale·ξ."""
    candidate = np.array([True, True, False, False])
    score = np.array([0.0, 0.0, 1.0, 1.0])
    bets = betting.bets(candidate, np.full(4, 0.5), score, np.arange(4, dtype=np.uint64), width=1.0)
    np.testing.assert_allclose(bets.xi, [-0.25] * 4)
    scale = 1.6  # μ/σ² = 2 would be more than a range of 1 allows
    by_hand = np.log(np.mean([(1 + e * scale * 0.25) ** 4 for e in betting.HARM_EFFECTS]))
    assert bets.log_wealth(0.0, harm=True)[-1] == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_expected_wealth_of_a_bet_on_nothing_is_one(share):
    rng = np.random.default_rng(0)
    wealth = [np.exp(rows(1500, 0.0, share, rng).log_wealth(0.0, harm=True)[-1]) for _ in range(1500)]
    assert np.mean(wealth) == pytest.approx(1.0, abs=4 * np.std(wealth) / 1500**0.5)


def test_the_interval_covers_the_truth_and_tightens():
    rng, widths, covered = np.random.default_rng(1), [], 0
    for _ in range(20):
        few, many = rows(4000, 0.5, 0.5, rng), rows(40_000, 0.5, 0.5, rng)
        covered += many.lower(0.02) <= 0.05 <= many.upper(0.02)
        widths.append([few.upper(0.02) - few.lower(0.02), many.upper(0.02) - many.lower(0.02)])
    assert covered >= 19
    assert np.mean(widths, axis=0)[1] < 0.6 * np.mean(widths, axis=0)[0]


@pytest.mark.parametrize("runs", [150, pytest.param(2000, marks=pytest.mark.full)])
def test_units_that_return_with_tastes_of_their_own_do_not_raise_false_alarms(runs):
    """2,000 units decide 20,000 times; without the design effect their likeness would pass for evidence."""
    rng, alarms, naive = np.random.default_rng(2), 0, 0
    ends = list(range(2000, 20_001, 2000))
    for _ in range(runs):
        bets = rows(20_000, 0.0, 0.2, rng, units=2000, spread=1.0)
        path = bets.log_wealth(0.0, harm=True, ends=ends)
        alarms += path.max() >= np.log(1 / SPEC.alpha_harm)
        naive += path.max() * bets.dispersion >= np.log(1 / SPEC.alpha_harm)
    assert alarms / runs <= SPEC.alpha_harm + chance(SPEC.alpha_harm, runs)
    assert naive > 1.5 * alarms, "the design effect does something"


def test_sample_ratio_by_hand():
    """Beta(a, b) mixture: B(a + n₁, b + n₀) / B(a, b) / (sⁿ¹ (1 − s)ⁿ⁰) at s = ½, weight 100: a = b = 50."""
    found = sample_ratio.log_bayes_factor(1, 1, 0.5)
    assert found == pytest.approx(np.log((50 * 50) / (100 * 101) / 0.25), abs=1e-9)
    assert not sample_ratio.mismatch(500, 500, 0.5)
    assert sample_ratio.mismatch(400, 600, 0.5)
