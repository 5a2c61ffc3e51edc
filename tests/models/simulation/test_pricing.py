"""The simulation of prices at a small size: the order saves regret, and what it prints is what it counted."""

import numpy as np
import pytest

from croupier.models.simulation import pricing

pytestmark = pytest.mark.medium


def test_the_order_of_prices_saves_regret_in_each_of_three_hotels():
    falls, free, *_ = pricing.CONTENDERS
    for seed in range(3):
        known, unknown = (pricing.regret(name, seed, 700).mean() for name in (falls, free))
        assert known < unknown - 0.5


def test_regret_is_that_of_uniform_by_hand_where_nothing_is_learnt():
    lost = pricing.regret("`uniform`", 1, 400)
    hotel = pricing.Hotel(seed=1)
    worth = hotel.profit(hotel.guests(400, np.random.default_rng([1, 2])))
    expected = (worth.max(axis=1) - worth.mean(axis=1)).mean()
    assert lost.mean() == pytest.approx(expected, abs=4 * lost.std() / 20)
    assert lost.min() >= 0


def test_what_is_counted_is_what_is_shown(monkeypatch):
    kept = [*list(pricing.CONTENDERS)[:3], "`uniform`"]
    monkeypatch.setattr(pricing, "CONTENDERS", {name: pricing.CONTENDERS[name] for name in kept})
    found = pricing.count(seeds=2, rounds=200)
    falls, free = (np.array(found["rows"][name])[:, -1] for name in kept[:2])
    assert found["looks"] == [200]
    assert found["regret"][kept[0]]["mean"] == pytest.approx([falls.mean()])
    assert found["saved_by_order"]["mean"] == pytest.approx([(free - falls).mean()])
    assert f"| {kept[0]} | {falls.mean():.2f} ± " in pricing.markdown(found)
