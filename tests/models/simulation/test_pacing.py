"""The simulation of pacing at a small size: budget kept, more earned than by throttling, and a wrong sign seen."""

import numpy as np
import pytest

from croupier.models.constraints.day_price import price_of
from croupier.models.constraints.pacing import HOURS
from croupier.models.simulation import pacing
from croupier.models.simulation.pacing_policy import best_fixed, limits, of_fixed
from croupier.models.simulation.pacing_world import COSTS, PacedShop

pytestmark = pytest.mark.medium
DAYS = 6


@pytest.fixture(scope="module")
def shop():
    return PacedShop.drawn(DAYS, np.random.default_rng([1, 0]))


def test_a_run_keeps_its_budget_and_earns_more_than_throttling():
    found = pacing.count(seeds=1, first=1, days=DAYS)
    assert found["spend_error"] <= 0.005
    assert found["reward_share_of_best_multiplier"] > found["throttled"]["reward_share"] + 0.1
    assert found["worst_day_spend_error"] <= 0.025
    assert found["reward_share_of_best_multiplier"] > 0.95
    assert found["lift_without"]["spend"] > 0.1 > found["lift_without"]["parity"]
    assert "| greedy throttling | 0.0" in pacing.markdown(found)


def test_no_day_ever_spends_more_than_its_budget_and_the_account_is_that_of_the_arms(shop):
    for paces in (True, False):
        done = pacing.run(shop, np.random.default_rng(1), pacing=paces)
        spent = done.spent.reshape(-1, HOURS).sum(axis=1)
        assert (spent <= pacing.BUDGET).all()
        assert spent.sum() == COSTS[done.arms].sum()
        assert done.multipliers.version > 0


def test_a_price_that_moves_the_wrong_way_is_seen(shop, monkeypatch):
    def error(done):
        return abs(done.spent.reshape(-1, HOURS).sum(axis=1)[1:] / pacing.BUDGET - 1).mean(), done.price[HOURS:].mean()

    right = error(pacing.run(shop, np.random.default_rng(1), pacing=True))
    monkeypatch.setattr(pacing, "price_of", lambda rate, spends, most: most - price_of(rate, spends, most=most))
    wrong = error(pacing.run(shop, np.random.default_rng(1), pacing=True))
    assert right[1] > 0.05
    assert right[0] < 0.01
    assert wrong[0] > 0.1


def test_the_best_fixed_multipliers_meet_every_limit_and_leave_nothing(shop):
    limit = limits(pacing.BUDGET * DAYS / len(shop.scores))
    best = best_fixed(shop.scores, shop.group, limit)
    reward, used = of_fixed(shop.scores, shop.means, shop.group, best)
    for name, most in limit.items():
        assert used[name] <= most + 1e-4
        assert used[name] == pytest.approx(most, abs=1e-3) or best.prices[name] < 1e-4
    dearer = {**best.prices, "spend": best.prices["spend"] * 1.2}
    assert of_fixed(shop.scores, shop.means, shop.group, best.moved(dearer, ("", "")))[0] < reward
