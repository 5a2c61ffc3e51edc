"""[pricing]: what app.toml may say, what a catalogue and a request must say of prices, and what is understood."""

import tomllib
from dataclasses import dataclass, field, replace

import pytest

from croupier.features.declared.pricing import PricingSpec, most_units
from croupier.features.log.admission import Admission
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
        ('price = "arm.rate"\ncost = "25"', "found '25', expected a number without quotes, or a declared number"),
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
    with pytest.raises(ValueError, match=r"reward\.default: found 0\.5 beside"):
        spec(priced, "[reward]\ndefault = 0.5\n")
    with pytest.raises(ValueError, match=r"pricing: found it beside \[allocation\]"):
        spec(priced, '[policies]\ncandidates = ["lin_ts"]\n[allocation]\ntotal = 3\n')


@dataclass(frozen=True)
class Asked:
    context: dict = field(default_factory=dict)
    arms: tuple = ("a", "b")
    arm_context: tuple = ()
    arm_features: tuple = ()


def test_a_request_without_a_price_or_a_cost_is_refused_by_name():
    prices = Prices(PricingSpec(price="arm_context.tonight", cost="context.wholesale"))
    whole = Asked(context={"wholesale": 3.0}, arm_context=({"tonight": 9.0}, {"tonight": 0.0}))
    prices.refuse_missing(whole)
    assert [prices.margin(whole, arm) for arm in "ab"] == ["6.0", "-3.0"]
    for given, name in (
        ({"context": {}}, "context.wholesale"),
        ({"context": {"wholesale": None}}, "context.wholesale"),
        ({"arm_context": ()}, "arm_context.tonight"),
        ({"arm_context": ({"tonight": 9.0}, {})}, "arm_context.tonight"),
    ):
        lacking = replace(whole, **given)
        with pytest.raises(InvalidEvent, match=r"expected a number from 0 on: \[pricing\] reads the") as error:
            prices.refuse_missing(lacking)
        assert error.value.field == name
        with pytest.raises(InvalidEvent, match=name):
            prices.margin(lacking, "b")
    with pytest.raises(InvalidEvent, match=r"context\.wholesale: found -3\.0, expected a number from 0 on"):
        prices.refuse_missing(replace(whole, context={"wholesale": -3.0}))
    with pytest.raises(InvalidEvent, match=r"arm_context\.tonight: found -1, expected .* for b too"):
        prices.refuse_missing(replace(whole, arm_context=({"tonight": 9.0}, {"tonight": -1})))


def test_an_arm_that_a_request_brings_along_has_a_price_of_its_own():
    prices = Prices(PricingSpec(price="arm.rate", cost="arm.fee"), {"a": {"rate": 50.5, "fee": 20}})
    brought = Asked(arm_features=(None, {"rate": 5, "fee": 1}))
    prices.refuse_missing(brought)
    assert [prices.margin(brought, arm) for arm in "ab"] == ["30.5", "4.0"]
    with pytest.raises(InvalidEvent, match=r"arm\.fee: found None, expected a number.* for b too"):
        prices.refuse_missing(Asked(arm_features=(None, {"rate": 5})))
    with pytest.raises(InvalidEvent, match=r"arm\.rate: found None"):
        prices.margin(Asked(), "b")


def test_a_catalogue_without_prices_or_with_profits_out_of_range_is_named():
    priced = PricingSpec(price="arm.rate", cost="arm.fee")
    good = Prices(priced, {"a": {"rate": 10, "fee": 4}, "b": {"rate": 20.5, "fee": 4}})
    assert good.problems((0, 33), 2.0) == []
    expected = "expected what reward.range allows, 0 to 20: such a reward would be refused"
    assert good.problems((0, 20), 2.0) == [f"pricing: found that b can bring 33, {expected}"]
    assert good.problems((13, 20), 2.0)[0].startswith(
        "pricing: found that a can bring 12, expected what reward.range allows, 13"
    )
    assert good.problems((13, 20), 2.0)[0].endswith("; 1 more like it")
    bad = Prices(priced, {"a": {"rate": 10, "fee": 4}, "b": {"fee": 1}, "c": {"rate": True, "fee": 1}})
    (said,) = bad.problems()
    assert said.startswith("arm b: found rate = None, expected a number from 0 on")
    assert said.endswith("; 1 more like it")
    between = "a sale earns arm.rate less arm.fee; 6 to 16.5 in catalogue.json; the reward is that profit"
    assert good.sentences() == [f"pricing: {between}; demand does not rise with the price"]


def test_where_arms_are_no_prices_nothing_is_asked():
    none = Prices(PricingSpec(), {"a": {}})
    assert not none
    none.refuse_missing(Asked())
    assert (none.margin(Asked(), "a"), none.sentences(), none.problems((0, 1))) == ("", [], [])


def test_what_counts_sales_needs_prices_and_takes_no_more_than_can_be_sold():
    sold = "[reward]\nrange = [0, 100]\n[reward.kinds.booked]\nsold = true\n[reward.kinds.refund]\nweight = -1.0\n"
    with pytest.raises(ValueError, match=r"found sold = true of booked without \[pricing\]"):
        spec("", sold)
    admitted = Admission.of(spec('price = "arm.rate"\nmost = 3', sold)).kinds
    assert admitted == {"booked": (0.0, 3.0), "refund": None}


@pytest.mark.parametrize(
    ("kinds", "units"),
    [
        ("", 3.0),  # the app sends profits by itself
        ("[reward.kinds.booked]\nsold = true\n", 3.0),
        ("[reward.kinds.booked]\nsold = true\nweight = 2.0\n", 6.0),
        ("[reward.kinds.booked]\nsold = true\nrange = [-1, 5]\n", 5.0),
        ("[reward.kinds.booked]\nsold = true\nrange = [-1, 5]\nclip = [0, 2]\n", 2.0),
        ("[reward.kinds.pair]\nsold = true\nweight = 2.0\nrange = [0, 1]\n[reward.kinds.one]\nsold = true\n", 3.0),
        ("[reward.kinds.click]\nweight = 9.0\n[reward.kinds.booked]\nsold = true\n", 3.0),
    ],
)
def test_the_most_that_a_decision_sells_is_what_the_kinds_of_sales_allow(kinds, units):
    declared = spec('price = "arm.rate"\nmost = 3', kinds)
    assert most_units(declared.pricing, declared.reward.kinds.values()) == units
