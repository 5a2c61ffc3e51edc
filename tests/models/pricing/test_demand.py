"""The policy of prices: votes by hand, demand that falls in each draw, prices at cost and below, long-run prices."""

import tomllib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.spec import AppSpec
from croupier.features.worlds.rates import COST, RATES, Hotel
from croupier.models.policy import make
from croupier.models.pricing.amounts import Amount, parameters
from croupier.models.pricing.monotone import falling

HEADS = ("hybrid", "per_arm", "shared")


@cache
def hotel():
    """(log of 1,500 uniform decisions, what [pricing] makes the policy with)."""
    world = Hotel(seed=2)
    spec = AppSpec.model_validate(tomllib.loads(world.app_toml()))
    table = world.interactions(1500)
    encoder = Encoder.fit(spec, table, world.arms())
    log = encode_interactions(table, encoder, encoder.catalogue(world.arms()))
    return log, parameters("demand_ts", encoder, spec.pricing)


@cache
def trained(heads, monotone=True):
    log, made = hotel()
    return make("demand_ts", heads=heads, **(made | {"monotone": monotone})).learn([log], seed=1)


def asked(n=20):
    log, _ = hotel()
    return log.batch[:n]


@pytest.mark.parametrize("heads", HEADS)
def test_in_each_draw_demand_falls_with_the_price_and_is_a_probability(heads):
    batch = asked()
    margin = np.array(RATES) - COST
    demand = trained(heads).profits(batch) / margin[:, None]
    assert (np.diff(demand, axis=1) <= 1e-6).all()  # margins are read off float32
    assert demand.min() >= 0
    assert demand.max() <= 1 + 1e-6
    free = trained(heads, monotone=False).profits(batch) / margin[:, None]
    assert (np.diff(free, axis=1) > 0.01).any(), "without it some draw rises"


def test_the_pmf_is_the_share_of_draws_that_elect_a_price_by_hand():
    policy, batch = trained("shared"), asked()
    weights = policy.head.sample(np.random.default_rng([1, policy.head.step]), 256)  # (d, S)
    phi = np.stack([policy.features(batch, np.full(len(batch), k)) for k in range(len(RATES))], axis=1)
    margin = np.broadcast_to(np.array(RATES) - COST, phi.shape[:2])
    profit = policy.reward_mean + policy.reward_sd * (phi @ weights)
    demand = falling(profit / margin[:, :, None], np.array(RATES) * np.ones(phi.shape[:2]), batch.mask)
    best = (margin[:, :, None] * np.clip(demand, 0, 1)).argmax(axis=1)
    by_hand = np.stack([(best == k).mean(axis=1) for k in range(len(RATES))], axis=1)
    np.testing.assert_allclose(policy.pmf(batch), by_hand, rtol=0, atol=2.5 / 256)  # float32 φ turns a draw or two


@pytest.mark.parametrize("heads", HEADS)
def test_it_earns_more_than_the_same_policy_that_does_not_know_the_order(heads):
    world = Hotel(seed=2)
    log, _ = hotel()
    contexts = world.guests(1500, np.random.default_rng([2, 4, 0]))
    worth = {
        order: float((trained(heads, order).pmf(log.batch) * world.profit(contexts)).sum(axis=1).mean())
        for order in (True, False)
    }
    assert worth[True] > worth[False] - (0.0 if heads != "shared" else 0.3)


def test_prices_at_cost_below_cost_and_all_at_cost():
    log, made = hotel()
    batch = asked(5)
    for cost in (80.0, 100.0):  # of rates 60 to 200
        margin = Amount.of(made["price"]) - Amount(constant=cost)
        policy = make("demand_ts", heads="hybrid", **(made | {"margin": margin.to_json()})).learn([log], seed=1)
        profit = policy.profits(batch)
        below = np.array(RATES) <= cost
        assert (profit[:, below] <= 1e-3).all(), "a sale at or below cost earns nothing"
        assert (policy.pmf(batch)[:, ~below].sum(axis=1) > 0.9).all()
    free = make("demand_ts", **(made | {"margin": {"constant": 0.0}})).learn([log], seed=1)
    np.testing.assert_allclose(free.pmf(batch), 1 / len(RATES), atol=1e-12)


def test_long_run_prices_come_off_in_money():
    policy, batch = trained("hybrid"), asked(40)
    priced = replace(batch, price=np.where(np.array(RATES) > 120, 50.0, 0.0) * np.ones(batch.mask.shape))
    profit = policy.profits(batch) - priced.price[:, :, None]
    best = profit.argmax(axis=1)
    by_hand = np.stack([(best == k).mean(axis=1) for k in range(len(RATES))], axis=1)
    np.testing.assert_allclose(policy.pmf(priced), by_hand, rtol=0, atol=1e-9)
    assert policy.pmf(priced)[:, np.array(RATES) > 120].sum() < policy.pmf(batch)[:, np.array(RATES) > 120].sum()


def test_without_prices_it_is_lin_ts():
    log, _ = hotel()
    plain, bare = (make(name, heads="hybrid").learn([log], seed=1) for name in ("lin_ts", "demand_ts"))
    assert (bare.pmf(log.batch) == plain.pmf(log.batch)).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"explore": "ucb"}, "explore: found 'ucb', expected 'thompson'"),
        ({"price": {"constant": 1.0}}, "expected price and margin or neither"),
        ({"most": 0.0}, "and most above 0"),
    ],
)
def test_what_it_cannot_be_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        make("demand_ts", **given)
