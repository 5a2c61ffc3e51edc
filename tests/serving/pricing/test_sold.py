"""What health says is sold at each price: of everybody, also where a policy asks a price of those who may pay it."""

import tomllib
from contextlib import closing
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from croupier.features import build, clock, scheduled
from croupier.features.health.described import described
from croupier.features.spec import AppSpec
from croupier.features.utc import HOUR, to_us
from croupier.features.worlds.rates import COST, RATES
from croupier.serving.health import told, verdict_page
from croupier.serving.health.examine import examine
from croupier.serving.health.sold import sold_in
from tests.serving.pricing import rooms
from tests.serving.pricing.test_pricing_turned import HOURS, START, hotel, shipped  # noqa: F401 — a fixture

pytestmark = pytest.mark.medium


def test_demand_is_that_of_everybody_where_dear_rates_are_asked_of_business():
    """A log in which dear rates are kept, of others than business, once in ten times."""
    rows = rooms.WORLD.interactions(12_000)
    business = rows["context"].str.contains("business").to_numpy()
    dear = np.array([int(arm[5:]) >= 130 for arm in rows["arm"]])
    keep = business | ~dear | (np.random.default_rng(0).random(len(rows)) < 0.1)
    biased = rows.with_columns(propensity=np.where(business | ~dear, 1.0, 0.1) / len(RATES)).filter(keep)
    contexts = rooms.WORLD.guests(12_000, np.random.default_rng([4, 4, 0]))
    demand = dict(zip(RATES, rooms.WORLD.demand(contexts).mean(axis=0), strict=True))
    found = sold_in(biased)
    assert [one.margin for one in found] == [rate - COST for rate in RATES]
    for one in found:
        rate = int(one.arm[5:])
        assert abs(one.sold - demand[rate]) < 4 * one.sold_se
        assert one.profit == pytest.approx(one.sold * one.margin)
        assert one.profit_se == pytest.approx(one.sold_se * one.margin)
    naive = biased.filter(arm="rate-150")["reward"].mean() / (150 - COST)
    assert naive > 2 * demand[150], "of those who were asked, twice as many buy"


def test_health_says_it_in_words_json_and_on_the_page(hotel):  # noqa: F811
    shipped(hotel)
    with clock.at(to_us(START) + HOURS * HOUR + HOUR // 2):
        build.collect("hotel")
        scheduled.validate("hotel", None, scheduled.join("hotel", None))
        found = examine(hotel, now=START + timedelta(hours=HOURS, minutes=30))
    rows = told.as_json(found)["prices"]
    best = max(rows, key=lambda row: row["profit"])
    assert [row["arm"] for row in rows] == [f"rate-{rate}" for rate in RATES]
    assert sum(row["shown"] for row in rows) == 4500
    (line,) = told.prices(found)
    assert line.startswith(
        f"prices: of 15 prices of the last day {best['arm']} alone would have earned most of everybody"
    )
    assert line in told.lines(found)
    page = verdict_page.render_page(found)
    assert "What is sold at each price" in page
    assert f"{best['sold']:.3f}" in page
    with closing(hotel.spool()) as spool:
        assert spool.counts()["rewards"] == sum(round(row["sold"] * row["shown"]) for row in rows)


def test_a_sale_at_a_loss_has_won_and_no_sale_has_not():
    rows = rooms.WORLD.interactions(400)
    lossy = rows.with_columns(reward=-pl.col("reward"))
    spec = AppSpec.model_validate(tomllib.loads(rooms.WORLD.app_toml().replace("[0.0, 175.0]", "[-175.0, 175.0]")))
    won = described(lossy, spec)["context.trip"]["won"]
    assert sum(won["bins"].values()) == (rows["reward"] > 0).sum()
