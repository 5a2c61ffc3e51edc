"""[pricing]: what app.toml may say, what a catalogue and a request must say of prices, and what is understood."""

import tomllib

import pytest

from croupier.features.declared.pricing import PricingSpec
from croupier.features.pricing.prices import Prices
from croupier.features.schema import InvalidEvent
from croupier.features.spec import AppSpec

TOML = """
[context.wholesale]
type = "numeric"
[context.trip]
type = "categorical"
[arm.rate]
type = "numeric"
[arm.fee]
type = "numeric"
[arm.capped]
type = "numeric"
clip = [0, 10]
[arm.logged]
type = "numeric"
transform = "log"
[arm_context.tonight]
type = "numeric"
"""


def spec(pricing, more=""):
    return AppSpec.model_validate(tomllib.loads(more + TOML + "[pricing]\n" + pricing))


def test_price_and_cost_may_be_said_by_each_scope():
    assert spec('price = "arm.rate"\ncost = 20').pricing.named == {"price": "arm.rate"}
    named = spec('price = "arm_context.tonight"\ncost = "context.wholesale"').pricing.named
    assert named == {"price": "arm_context.tonight", "cost": "context.wholesale"}
    assert not spec("").pricing.declared


@pytest.mark.parametrize(
    ("pricing", "said"),
    [
        ("cost = 3", "pricing: found no price"),
        ('price = "rate"', r"pricing.price: found 'rate', expected a declared number: arm.capped, arm.fee, arm.logged"),
        ('price = "context.wholesale"', r"pricing.price: found 'context.wholesale', expected a declared number"),
        ('price = "arm.rate"\ncost = "context.trip"', "found context.trip, a feature of type categorical"),
        ('price = "arm.capped"', r"found arm.capped with a clip"),
        ('price = "arm.logged"', r"found arm.logged with transform 'log'"),
        ('price = "arm.rate"\nmost = 0', "greater than 0"),
        ('price = "arm.rate"\ncost = true', "expected a number, or the name of a feature"),
    ],
)
def test_what_cannot_be_a_price_is_refused_by_name(pricing, said):
    with pytest.raises(ValueError, match=said):
        spec(pricing)


def test_what_does_not_fit_the_rest_of_app_toml_is_refused():
    priced = 'price = "arm.rate"'
    with pytest.raises(ValueError, match=r"found demand_ts without \[pricing\]"):
        spec("", '[policies]\ncandidates = ["demand_ts"]\n')
    with pytest.raises(ValueError, match="reward.default: found 0.5 beside"):
        spec(priced, "[reward]\ndefault = 0.5\n")
    with pytest.raises(ValueError, match=r"pricing: found it beside \[allocation\]"):
        spec(priced, '[policies]\ncandidates = ["lin_ts"]\n[allocation]\ntotal = 3\n')


def test_a_request_without_a_price_or_a_cost_is_refused_by_name():
    prices = Prices(PricingSpec(price="arm_context.tonight", cost="context.wholesale"))
    whole = ({"wholesale": 3.0}, ["a", "b"], [{"tonight": 9.0}, {"tonight": 0.0}], ())
    prices.refuse_missing(*whole)
    for at, value, field in (
        (0, {}, "context.wholesale"),
        (0, {"wholesale": None}, "context.wholesale"),
        (2, (), "arm_context.tonight"),
        (2, [{"tonight": 9.0}, {}], "arm_context.tonight"),
    ):
        with pytest.raises(InvalidEvent, match="expected a number: \\[pricing\\] reads the") as error:
            prices.refuse_missing(*(value if i == at else each for i, each in enumerate(whole)))
        assert error.value.field == field


def test_an_arm_that_a_request_brings_along_has_a_price_too():
    prices = Prices(PricingSpec(price="arm.rate", cost="arm.fee"))
    prices.refuse_missing({}, ["a", "b"], (), [None, {"rate": 5, "fee": 1}])
    with pytest.raises(InvalidEvent, match="arm.fee: found None, expected a number.* for b too"):
        prices.refuse_missing({}, ["a", "b"], (), [None, {"rate": 5}])


def test_a_catalogue_without_prices_or_with_profits_out_of_range_is_named():
    prices = Prices(PricingSpec(price="arm.rate", cost="arm.fee", most=2))
    good = {"a": {"rate": 10, "fee": 4}, "b": {"rate": 20.5, "fee": 4}}
    assert prices.problems(good, (0, 33)) == []
    assert prices.problems(good, (0, 20)) == [
        "pricing: found that b can bring 33, expected what reward.range allows, 0 to 20: such a reward would be refused"
    ]
    (said,) = prices.problems({"a": {"rate": 10, "fee": 4}, "b": {"fee": 1}, "c": {"rate": True, "fee": 1}})
    assert said.startswith("arm b: found rate = None, expected a number from 0 on")
    assert said.endswith("; so have 1 others")
    assert prices.sentences(good) == [
        "pricing: a sale earns arm.rate less arm.fee; 6 to 16.5 in catalogue.json; the reward is that profit; demand "
        "does not rise with the price"
    ]
    assert not Prices(PricingSpec())
    assert Prices(PricingSpec()).sentences(good) == []
