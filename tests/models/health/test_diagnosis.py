"""Each planted fault is named in the first line; sound data, weekends included, are silent."""

import re

import numpy as np
import pytest

from croupier.features.utc import HOUR, from_us
from croupier.models.health.diagnosis import CAUSES, diagnose
from croupier.models.health.history import History
from croupier.models.health.season import View
from croupier.models.health.symptom import ACT, FINE, TO_WATCH
from croupier.models.health.turned import _segment
from croupier.models.health.watches.features import kinds_of_hours
from tests.models.health.plain_hours import START, hour, hours

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

DAYS = 22
NAMED = [
    ("reward_feed_arm", {"arm_rates": [("b", 0.0)]}, 12), ("dying_arm", {"arm_rates": [("b", 0.5)]}, 36),
    ("rewards_lost", {"lost": 0.3}, 24), ("taste_flip", {"device_rates": [("tv", 0.3)]}, 24),
    ("feature_frozen", {"frozen": True}, 3), ("feature_scaled", {"age": 100.0}, 3), ("feature_scaled", {"age": 0.1}, 3),
    ("feature_swapped", {"swapped": True}, 3), ("category_renamed", {"renamed": True}, 3),
    ("bot_traffic", {"top": 300}, 3), ("reward_delay", {"slower": 10.0}, 3), ("premature_convergence", {"entropy": 0.3}, 3),
    ("clock_skew", {"skew": 120.0}, 3), ("clock_skew", {"skew": -20.0}, 3), ("late_rewards", {"late": 0.2}, 6),
]  # fmt: skip


@pytest.fixture(scope="module")
def before():
    """The sound days before, made once."""
    return hours(DAYS, 7)


def planted(before, wrong, last):
    rng = np.random.default_rng(99)
    return History.of([*before, *(hour(DAYS * 24 + k, rng, **wrong) for k in range(last))])


@pytest.mark.parametrize(("cause", "wrong", "last"), NAMED, ids=[f"{c}-{i}" for i, (c, _, _) in enumerate(NAMED)])
def test_a_planted_fault_is_named_first(before, cause, wrong, last):
    found = diagnose(planted(before, wrong, last))
    assert (found.level, found.cause) == (ACT, cause), [(s.level, s.says) for s in found.symptoms]
    worst = found.symptoms[0]
    assert worst.nats >= worst.needed
    began = (worst.since - START) // HOUR
    assert abs(began - DAYS * 24) <= max(4, last // 3)
    assert found.remedy


def test_the_numbers_are_those_of_the_fault(before):
    assert diagnose(planted(before, {"age": 100.0}, 3)).says.startswith("context.age is ×9")  # steps of 1.2: 95.4
    assert (
        diagnose(planted(before, {"renamed": True}, 3)).says
        == "context.device: 'tv' is gone, and as often comes 'television'"
    )
    assert diagnose(planted(before, {"skew": -20.0}, 3)).symptoms[0].number == pytest.approx(-20, abs=0.1)
    assert diagnose(planted(before, {"slower": 10.0}, 3)).symptoms[0].number == pytest.approx(10, rel=0.2)
    lost = diagnose(planted(before, {"lost": 0.3}, 24))
    assert lost.symptoms[0].number == pytest.approx(0.7, abs=0.06)
    assert "reward logging" not in lost.says


@pytest.mark.parametrize("seed", range(6))
def test_sound_days_are_silent(seed):
    found = diagnose(History.of(hours(DAYS, 100 + seed)))
    assert found.level != ACT, found.says
    assert found.weekly
    assert found.signals > 15


def test_a_weekend_is_no_alarm_once_weekends_are_known():
    """Rewards and traffic of a weekend are far from those of the days before it."""
    rng = np.random.default_rng(3)
    made = [hour(t, rng, weekend_rate=1.8) for t in range(30 * 24)]
    friday = next(t for t in range(24 * 22, 24 * 30, 24) if (t // 24 + 3) % 7 == 5)
    levels = [diagnose(History.of(made[: friday + k])).level for k in (3, 12, 36)]
    assert ACT not in levels


def test_before_a_week_is_known_twice_seasonal_things_are_only_watched():
    found = diagnose(History.of(hours(6, 5, {"lost": 0.6}, last=12, weekend_rate=1.0)))
    assert (found.weekly, found.level) == (False, TO_WATCH)
    assert found.cause == "rewards_lost"
    young = diagnose(History.of(hours(2, 5)))
    assert (young.level, young.signals) == (FINE, 0)
    assert young.says == "too young to be judged: 48 hours are known, 96 are needed"


def test_rewards_of_another_range_and_sign_are_judged_alike(before):
    made = hours(DAYS, 7, range_=(-5.0, 20.0))
    rng = np.random.default_rng(99)
    made += [hour(DAYS * 24 + k, rng, arm_rates=[("b", 0.0)], range_=(-5.0, 20.0)) for k in range(24)]
    found = diagnose(History.of(made), limits=(-5.0, 20.0))
    assert (found.level, found.cause) == (ACT, "reward_feed_arm"), found.says


def test_a_budget_ten_times_as_small_asks_for_more_evidence(before):
    whole = History.of(before)
    few, many = (diagnose(whole, false_alarms=budget).needed for budget in (0.05, 0.5))
    assert few - many == pytest.approx(np.log(10))


def test_missing_hours_and_quiet_ones_do_no_harm(before):
    gap = [h for i, h in enumerate(before) if not 300 <= i < 320]
    found = diagnose(History.of(gap))
    assert found.level != ACT, found.says
    assert len(History.of(gap)) == len(before)
    with pytest.raises(ValueError, match="found 0 hours, expected some"):
        History.of([])


def test_what_began_with_a_release_says_so(before):
    rng = np.random.default_rng(99)
    late = [hour(DAYS * 24 + k, rng, lost=0.5) for k in range(12)]
    for h in late:
        h["groups"]["release"] = {"4": h["groups"]["release"]["3"]}
    assert diagnose(History.of([*before, *late])).symptoms[0].says.endswith("; it began with release 4")


TURNED = {"cell_rates": [(("phone", "c"), 0.4), (("phone", "a"), 1.8)]}


def test_a_segment_whose_tastes_turned_is_named_with_its_arms_whichever_release_began_then(before):
    """On phones one arm wins less and another more; their sum, and each arm's, changes less."""
    rng = np.random.default_rng(99)
    late = [hour(DAYS * 24 + k, rng, **TURNED) for k in range(30)]
    for h in late:
        h["groups"]["release"] = {"4": h["groups"]["release"]["3"]}
    found = diagnose(History.of([*before, *late]))
    assert (found.level, found.cause) == (ACT, "taste_flip")
    assert re.match(r"device phone does not like any more what it liked: .*; arms c -6\d%, a \+[78]\d%", found.says)
    assert found.says.endswith("; it began with release 4")


def test_a_small_turn_is_only_watched_however_sure(before):
    """Thirty times the traffic: what is 4 % of the segment's rewards is beyond doubt, and nobody's emergency."""
    rng = np.random.default_rng(7)
    small = {"cell_rates": [(("phone", "c"), 0.94), (("phone", "a"), 1.06)]}
    crowd = [hour(k, rng, n=30_000, day=0.0, weekend_rate=1.0) for k in range(16 * 24)]
    late = [hour(16 * 24 + k, rng, n=30_000, day=0.0, weekend_rate=1.0, **small) for k in range(30)]
    found = [s for s in diagnose(History.of([*crowd, *late])).symptoms if s.cause == "taste_flip"]
    assert found
    assert {s.level for s in found} == {TO_WATCH}


def test_bars_in_names_of_segments_and_arms():
    known = ["a=x", "a=x|y"]
    assert [_segment(key, known) for key in ("a=x|arm", "a=x|y|arm", "a=x|z|arm")] == ["a=x", "a=x|y", "a=x"]


def test_an_arm_that_fades_in_every_segment_is_no_turn_of_one(before):
    rng = np.random.default_rng(99)
    late = [hour(DAYS * 24 + k, rng, arm_rates=[("c", 0.4)]) for k in range(30)]
    found = diagnose(History.of([*before, *late]))
    assert (found.level, found.cause) == (ACT, "dying_arm")
    for h in late:
        h["groups"]["release"] = {"4": h["groups"]["release"]["3"]}
    assert diagnose(History.of([*before, *late])).level == TO_WATCH, "another release may show it to others"


@pytest.mark.parametrize("who", ["release", "role", ""])
def test_what_a_new_policy_may_mean_is_only_watched(before, who):
    """Entropy falls because another release, or a candidate with more traffic, decides; or for no such reason."""
    rng = np.random.default_rng(99)
    late = [hour(DAYS * 24 + k, rng, entropy=0.4) for k in range(12)]
    for h in late:
        every = h["groups"]["release"]["3"]
        if who == "release":
            h["groups"]["release"] = {"4": every}
        if who == "role":
            h["groups"]["role"] = {"candidate": [x / 2 for x in every], "champion": [x / 2 for x in every]}
    found = diagnose(History.of([*before, *late]))
    began = {
        "release": "; it began with release 4",
        "role": "; it began with the candidate, from 0% to 50% of the decisions",
    }
    assert (found.level, found.cause) == (TO_WATCH if who else ACT, "premature_convergence")
    assert found.says.endswith(began.get(who, "in the same hours of past weeks"))


def test_a_starved_arm_is_to_be_watched(before):
    rng = np.random.default_rng(1)
    late = [hour(DAYS * 24 + k, rng) for k in range(24)]
    for h in late:
        h["explore"]["arms"]["c"][1] = 0.004 * h["explore"]["arms"]["c"][0]
    found = [s for s in diagnose(History.of([*before, *late])).symptoms if s.watch == "coverage"]
    assert [(s.about, s.level, round(s.number, 4)) for s in found] == [("arm c", TO_WATCH, 0.004)]
    assert (found[0].since - START) // HOUR == DAYS * 24


def test_the_lift_is_the_paired_difference(before):
    found = diagnose(History.of(before)).lift
    r, n = (sum(f(h) for h in before[-168:]) for f in (lambda h: h["explore"]["lift"][2], lambda h: h["n"]))
    served, gain = r / n, 0.02
    assert found.value == pytest.approx(gain / (served - gain), rel=1e-9)
    assert found.low <= found.value <= found.high


@pytest.fixture(scope="module")
def five_weeks():
    """Sound hours for longer than a judgement reads."""
    return History.of(hours(36, 8, n=60))


@pytest.mark.parametrize(
    ("known", "weeks", "recent"),
    [
        (360, 2, 24),
        (503, 2, 167),
        (528, 2, 168),
        (671, 2, 168),
        (672, 3, 168),
        (839, 3, 168),
        (840, 4, 168),
        (864, 4, 168),
    ],
)
def test_the_recent_week_never_becomes_shorter(five_weeks, known, weeks, recent):
    view = View.of(five_weeks.span(0, known))
    assert (view.m, view.R, len(view.history)) == (weeks, recent, weeks * 168 + recent)
    assert view.history.start[-1] == five_weeks.start[known - 1]


def test_evidence_is_not_lost_when_a_week_joins_the_baseline(before):
    """Rewards fell at hour 480 of a young app. What is told at hour 526 is told at 532, too, when three weeks and a day
    are known."""
    rng = np.random.default_rng(11)
    whole = History.of([*before[:480], *(hour(480 + k, rng, lost=0.09) for k in range(60))])
    said = [diagnose(whole.span(0, at)) for at in (526, 532, 536)]
    assert [(d.level, d.cause) for d in said] == [(ACT, "rewards_lost")] * 3
    assert all(abs((d.symptoms[0].since - START) // HOUR - 480) <= 12 for d in said)


def test_saturdays_and_sundays_are_the_weekend(before):
    view = View.of(History.of(before))
    kinds = kinds_of_hours(view)
    for at, kind in zip(view.history.start.tolist(), kinds, strict=True):
        day = from_us(at)
        assert kind == day.hour + 24 * (day.weekday() >= 5)


def test_every_cause_has_its_place():
    assert len(set(CAUSES)) == len(CAUSES)
