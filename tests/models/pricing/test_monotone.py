"""The projection onto demand that falls with the price: beside scikit-learn's pool adjacent violators, and by law."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from croupier.models.pricing.monotone import falling

RNG = np.random.default_rng(0)


def drawn(B=7, K=6, S=9):
    """Draws of demand, of unlike precision by candidate, prices in no order, and requests of two to K candidates."""
    demand = RNG.normal(size=(B, K, 1)) + RNG.normal(size=(B, K, S)) * RNG.uniform(0.05, 2.0, (B, K, 1))
    mask = np.arange(K) < RNG.integers(2, K + 1, (B, 1))
    return demand, RNG.permuted(np.tile(np.arange(K) * 10.0, (B, 1)), axis=1), mask


def test_it_is_weighted_isotonic_regression_as_scikit_learn_has_it():
    demand, price, mask = drawn()
    found = falling(demand, price, mask)
    for b in range(len(mask)):
        kept = np.flatnonzero(mask[b])
        weight = 1 / demand[b, kept].var(axis=1)
        for s in range(demand.shape[2]):
            peer = IsotonicRegression(increasing=False).fit(price[b, kept], demand[b, kept, s], sample_weight=weight)
            np.testing.assert_allclose(found[b, kept, s], peer.predict(price[b, kept]), rtol=0, atol=1e-9)
        assert (found[b, ~mask[b]] == 0).all()


def test_what_falls_already_stays_and_what_rises_is_levelled():
    price, mask = np.array([[1.0, 2.0, 3.0]]), np.ones((1, 3), bool)
    falls = np.array([[[0.9, 0.8], [0.5, 0.6], [0.1, 0.2]]])
    np.testing.assert_allclose(falling(falls, price, mask), falls, rtol=0, atol=1e-12)
    rises = np.array([[[0.1, 0.3], [0.5, 0.7], [0.9, 1.1]]])  # of equal precision: the mean
    np.testing.assert_allclose(falling(rises, price, mask), [[[0.5, 0.7]] * 3], rtol=0, atol=1e-12)


def test_a_price_that_is_well_known_keeps_its_demand_beside_one_that_is_not():
    noise = np.random.default_rng(1).standard_normal(500)
    demand = np.stack([-0.5 + 1.0 * noise, 0.3 + 0.01 * noise[::-1]])[None]
    found = falling(demand, np.array([[10.0, 20.0]]), np.ones((1, 2), bool))
    assert abs(found[0, 1] - demand[0, 1]).max() < 0.01  # unweighted, it would be as low as −1.4
    assert (found[0, 0] >= found[0, 1] - 1e-12).all()


def test_candidates_of_one_price_are_in_no_order():
    demand = np.array([[[0.2, 0.9], [0.7, 0.4], [0.1, 0.1]]])
    price, mask = np.array([[5.0, 5.0, 9.0]]), np.ones((1, 3), bool)
    np.testing.assert_allclose(falling(demand, price, mask), demand, rtol=0, atol=1e-12)


@pytest.mark.parametrize("what", ["demand", "price"])
def test_what_is_no_number_is_refused(what):
    demand, price, mask = drawn()
    broken = {"demand": demand.copy(), "price": price.copy()}
    broken[what][0, 0] = np.nan
    with pytest.raises(ValueError, match="found NaN or infinity at a candidate"):
        falling(broken["demand"], broken["price"], mask)
