"""A leak is told from an honest feature that looks like one: by its degree, and by whether it goes with the arm."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.models.gate.gate import LEAK_LEVEL
from croupier.models.ope.leaks import tested as leaks
from croupier.models.ope.leaks.degree import TELLING_AUC, auc_at_least
from tests.models.ope.test_leaks import RATES, filled, log_of, verdict


def filled_for(rewarded, others):
    """An order's value, filled for these shares of the rewarded and of the other rows."""

    def columns(rng, arm, reward, device):
        return filled(rng.normal(60, 20, len(arm)), rng.random(len(arm)) < np.where(reward > 0, rewarded, others))

    return columns


def flag(rewarded, others):
    """A yes or no that is yes for these shares of the rewarded and of the other rows."""

    def columns(rng, arm, reward, device):
        return (rng.random(len(arm)) < np.where(reward > 0, rewarded, others)).astype(float)[:, None]

    return columns


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("rewarded", "others"), [(1.0, 0.0), (1.0, 0.02), (0.97, 0.0), (0.3, 0.0), (1.0, 0.05)])
def test_a_value_that_all_but_tells_the_reward_is_refused_in_a_small_log(rewarded, others, seed):
    """1,000 rows, some 110 rewards: whether the value is there tells them, whatever the arm."""
    found = leaks.tested(log_of(1000, seed=seed, columns=filled_for(rewarded, others)))
    assert found.p == 0.0
    assert found.suspect in (3, 4)


@pytest.mark.medium
@pytest.mark.parametrize("whole", [True, False])
def test_a_partial_leak_is_found_by_its_going_with_the_arm(whole):
    """Of 8,000 rows, filled for 80 % of the rewarded and 10 % of others; an honest flag with the same share is not."""
    refused = honest = 0
    for seed in range(10):
        refused += leaks.tested(log_of(8000, seed=seed, columns=flag(0.8, 0.1), whole=whole)).p < LEAK_LEVEL
        honest += leaks.tested(log_of(8000, seed=seed, columns=flag(0.2, 0.2), whole=whole)).p < LEAK_LEVEL
    assert refused == 10
    assert honest == 0


def of_visitors_who_click(n, *, seed, share=0.12):
    """A sound log in which only a share of the visitors clicks at all, and a flag says who: known before the draw, it
    ranks rewarded rows above nearly all others."""
    rng = np.random.default_rng([seed, 1])
    human = rng.random(n) < share
    log = log_of(n, seed=seed, columns=lambda *_: human.astype(float)[:, None], whole=bool(seed % 2))
    reward = human & (rng.random(n) < 4.0 * RATES[log.chosen])
    return replace(log, reward=reward.astype(np.float64))


@pytest.mark.medium
def test_a_flag_of_those_who_click_at_all_is_no_leak_and_the_better_arm_is_promoted():
    for seed in range(6):
        log = of_visitors_who_click(8000, seed=seed, share=0.06)
        assert auc_at_least(log.batch.context[:, 3], log.reward > 0) >= TELLING_AUC, "as telling as a leak"
        assert leaks.tested(log).p > LEAK_LEVEL
    assert verdict(of_visitors_who_click(16_000, seed=0))[1].decision == "promote"


def test_few_rewards_do_not_make_a_column_telling():
    """Nine rewards that all fell into one common value: by chance it may."""
    column, unusual = np.arange(1000) % 2 == 0, np.isin(np.arange(1000), np.arange(0, 18, 2))
    assert auc_at_least(column.astype(float), unusual) == 0.5
    assert auc_at_least(np.arange(1000.0), np.arange(1000) >= 980) > 0.9
    assert auc_at_least(np.random.default_rng(0).normal(size=1000), np.arange(1000) >= 980) < 0.7
