"""The hotel's rates: the truth by hand, demand that falls, other best rates for other guests, and a log that agrees."""

import numpy as np
import pytest

from croupier.features.worlds.rates import COST, RATES, Hotel


def test_truth_by_hand():
    hotel = Hotel(seed=3)
    moved = np.random.default_rng([3, 1]).uniform(-10, 10, 3)[0]  # of business
    demand = hotel.demand([{"trip": "business", "lead": 15.0}])[0]
    for rate, drop in ((90, 1.0), (130, 0.85)):
        middle = 150 + moved + 0.4 * 0.5 * 60
        expected = 0.6 / (1 + np.exp((rate - middle) / 14)) * drop
        assert demand[RATES.index(rate)] == pytest.approx(expected)
    assert hotel.profit([{"trip": "business", "lead": 15.0}])[0] == pytest.approx(demand * (np.array(RATES) - COST))


def test_demand_falls_with_the_rate_and_the_best_rate_depends_on_the_guest():
    hotel = Hotel(seed=1)
    guests = hotel.guests(500, np.random.default_rng(0))
    demand = hotel.demand(guests)
    assert (np.diff(demand, axis=1) < 0).all()
    assert demand.min() > 0
    assert demand.max() < 0.6
    best = hotel.profit(guests).argmax(axis=1)
    trips = np.array([guest["trip"] for guest in guests])
    assert best[trips == "business"].mean() > best[trips == "leisure"].mean() + 3


def test_its_log_holds_profits_that_agree_with_the_truth():
    hotel = Hotel()
    log = hotel.interactions(4000)
    arms, reward = log["arm"].to_list(), log["reward"].to_numpy()
    price = np.array([int(arm.removeprefix("rate-")) for arm in arms])
    assert set(np.unique(np.where(reward > 0, reward - (price - COST), 0.0))) == {0.0}
    contexts = hotel.guests(4000, np.random.default_rng([0, 4, 0]))
    assert reward.mean() == pytest.approx(hotel.profit(contexts).mean(), abs=4 * reward.std() / np.sqrt(4000))
