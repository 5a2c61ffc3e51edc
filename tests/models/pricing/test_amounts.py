"""Price and margin read off encoded columns are those of the raw features, whatever scope says them."""

import tomllib

import numpy as np
import polars as pl
import pytest

from croupier.features.declared.pricing import PricingSpec
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.worlds.rates import Hotel
from croupier.models.pricing.amounts import Amount, parameters

TOML = """
[context.wholesale]
type = "numeric"
[arm.fee]
type = "numeric"
transform = "none"
[arm.stars]
type = "numeric"
transform = "log"
[arm.name]
type = "categorical"
[arm_context.rate]
type = "numeric"
[reward]
range = [-100, 200]
[pricing]
price = "arm_context.rate"
cost = "context.wholesale"
"""
ARMS = [Arm(arm_id=f"a{i}", features={"fee": 3.5 * i, "stars": i, "name": f"n{i}"}) for i in range(3)]
CONTEXTS = [{"wholesale": 40.0}, {"wholesale": 51.25}, {"wholesale": 33.0}]
PAIRS = [[{"rate": 60.0 + 7 * i + 10 * k} for k in range(3)] for i in range(3)]


@pytest.fixture(scope="module")
def encoder():
    spec = AppSpec.model_validate(tomllib.loads(TOML))
    rows = (
        Hotel()
        .interactions(3)
        .with_columns(
            context=pl.Series([f'{{"wholesale": {c["wholesale"]}}}' for c in CONTEXTS]),
            arms=pl.Series([["a0", "a1", "a2"]] * 3),
            arm=pl.Series(["a0", "a1", "a2"]),
            arm_context=pl.Series(
                ["[" + ", ".join(f'{{"rate": {p["rate"]}}}' for p in pairs) + "]" for pairs in PAIRS]
            ),
        )
    )
    return Encoder.fit(spec, rows, ARMS)


@pytest.fixture
def batch(encoder):
    return encoder.encode(CONTEXTS, [["a0", "a2", "a1"]] * 3, PAIRS, encoder.catalogue(ARMS))


@pytest.mark.parametrize(
    ("price", "cost", "expected"),
    [
        ("arm_context.rate", "context.wholesale", lambda i, k: PAIRS[i][k]["rate"] - CONTEXTS[i]["wholesale"]),
        ("arm_context.rate", "arm.fee", lambda i, k: PAIRS[i][k]["rate"] - 3.5 * [0, 2, 1][k]),
        ("arm.fee", 2.0, lambda i, k: 3.5 * [0, 2, 1][k] - 2.0),
    ],
)
def test_the_margin_is_that_of_the_raw_numbers(encoder, batch, price, cost, expected):
    made = parameters("demand_ts", encoder, PricingSpec(price=price, cost=cost))
    margin = Amount.of(made["margin"]).of_candidates(batch)
    by_hand = [[expected(i, k) for k in range(3)] for i in range(3)]
    np.testing.assert_allclose(margin, by_hand, rtol=0, atol=1e-4)
    assert Amount.of(made["margin"]).to_json() == made["margin"]


def test_others_than_the_policy_of_demand_get_nothing(encoder):
    assert parameters("lin_ts", encoder, PricingSpec(price="arm.fee")) == {}
    assert parameters("demand_ts", encoder, PricingSpec()) == {}


@pytest.mark.parametrize("named", ["arm.stars", "arm.name", "arm.absent", "fee"])
def test_what_is_not_encoded_as_it_is_is_refused(encoder, named):
    with pytest.raises(ValueError, match=f"found '{named}', expected a number that is encoded as it is"):
        Amount.declared(encoder, named)
