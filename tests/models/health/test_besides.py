"""What is told beside the sequential watches: a feature that tells nothing any more, the rule of thumb, how it is served."""

import numpy as np
import pytest

from croupier.features.health import sketch
from croupier.features.health.figures import figures
from croupier.features.utc import HOUR, hour_name
from croupier.models.health.diagnosis import also, diagnose
from croupier.models.health.history import History
from croupier.models.health.symptom import ACT, TO_WATCH
from croupier.models.health.watches import association, served, thumb
from tests.features.health.test_figures import ROWS, SPEC, frame
from tests.models.health.plain_hours import START, hours


def with_r(made, seed, r_of):
    """Gives the age of each hour moments of 900 numbers whose correlation with the reward is about r_of(t)."""
    rng = np.random.default_rng([seed, 5])
    for t, hour in enumerate(made):
        x = rng.normal(38, 10, 900)
        won = (r_of(t) * (x - 38) / 10 + np.sqrt(1 - r_of(t) ** 2) * rng.normal(size=900) > 1).astype(float)
        dx, dr = x - x.mean(), won - won.mean()
        moments = [900.0, x.mean(), (dx**2).sum(), won.mean(), (dr**2).sum(), (dx * dr).sum()]
        hour["features"]["context.age"]["reward"] = moments
    return made


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(3))
def test_a_feature_that_stops_telling_anything_is_watched_and_named(seed):
    made = with_r(hours(16, seed), seed, lambda t: 0.0 if t >= 15 * 24 else 0.4)
    found = [s for s in diagnose(History.of(made)).symptoms if s.cause == "feature_silent"]
    assert [(s.level, s.watch, s.about) for s in found] == [(TO_WATCH, "feature", "context.age and the reward")]
    day = np.array([h["features"]["context.age"]["reward"] for h in made[-24:]]).sum(axis=0)
    assert found[0].number == pytest.approx(abs(day[5]) / np.sqrt(day[2] * day[4]))
    assert found[0].number < 0.05
    assert found[0].since == START + 15 * 24 * HOUR
    for r_of in (lambda t: 0.4, lambda t: 0.05 * (t < 15 * 24)):  # as ever; and what hardly ever told anything
        made = with_r(made, seed, r_of)
        assert "feature_silent" not in {s.cause for s in diagnose(History.of(made)).symptoms}


def test_r_of_a_day_is_pearsons_within_its_hours():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 48, 50)) + np.arange(48)[:, None]  # hours that differ in level say nothing
    dx, dy = (z - z.mean(axis=1, keepdims=True) for z in (x, y))
    rows = [
        np.full(48, 50.0),
        x.mean(axis=1),
        (dx**2).sum(axis=1),
        y.mean(axis=1),
        (dy**2).sum(axis=1),
        (dx * dy).sum(axis=1),
    ]
    found = association.by_day(np.stack(rows, axis=1))
    by_hand = [np.corrcoef(dx[k : k + 24].ravel(), dy[k : k + 24].ravel())[0, 1] for k in (0, 24)]
    assert found == pytest.approx(by_hand)


def test_the_rule_of_thumb_is_off_unless_asked_for_and_compares_a_day_with_that_of_a_week_ago():
    made = hours(9, 1, {"lost": 0.3})
    for t, hour in enumerate(made):
        won = int(hour["groups"]["all"][""][3] / (2 if t >= 8 * 24 else 1))
        hour["reward"] = {"0": hour["n"] - won, "300": won}
    history = History.of(made)
    assert thumb.symptoms(history, None) == []
    assert thumb.symptoms(history.span(0, 191), 0.2) == [], "the day a week ago is not known"
    found = {s.about: s for s in thumb.symptoms(history, 0.2)}
    sums = history.sums["all"][""]
    mean = [sums[k : k + 24, 1].sum() / sums[k : k + 24, 0].sum() for k in (24, 192)]
    assert found["reward, mean"].number == pytest.approx(mean[1] / mean[0])
    assert found["reward, variance"].number == pytest.approx(mean[1] * (1 - mean[1]) / (mean[0] * (1 - mean[0])))
    assert set(found) == {"reward, mean", "reward, variance"}
    assert {s.level for s in found.values()} == {ACT}
    assert also(diagnose(history), [*found.values()]).level == ACT
    assert thumb.symptoms(history, 0.6) == []


def test_a_quantile_is_told_where_its_bins_leave_no_doubt():
    made = hours(9, 1)
    for t, hour in enumerate(made):
        later = t >= 8 * 24
        hour["reward"] = sketch.counted(
            np.array([1.0, 1.0, 1.3 if later else 1.05]) * (3.0 if t % 24 == 5 and later else 1)
        )
    assert "reward, 95th percentile" not in {s.about for s in thumb.symptoms(History.of(made), 0.5)}
    for hour in made[-24:]:
        hour["reward"] = sketch.counted(np.array([1.0, 1.0, 2.0, 4.0]))
    told = {s.about: s for s in thumb.symptoms(History.of(made), 0.5)}
    assert told["reward, 95th percentile"].number == pytest.approx(4.0, rel=0.2)


def test_how_an_hour_was_served_is_counted_by_hand():
    took, reasons = [2000, 500, 0, 4000], ["", "deadline", "", "deadline"]
    rows = frame([r | {"took_us": t, "fallback_reason": why} for r, t, why in zip(ROWS, took, reasons, strict=True)])
    found = figures(rows, SPEC)["served"]
    assert found == {"took": sketch.counted(np.array([2.0, 0.5, 4.0])), "fallbacks": {"deadline": 2}}


def test_fallbacks_of_the_last_day_are_watched_by_reason():
    hour = {"n": 3600, "served": {"took": {"300": 90, "310": 10}, "fallbacks": {}}}
    made = [hour | {"hour": hour_name(START + t * HOUR)} for t in range(30)]
    made[3] = made[3] | {"served": hour["served"] | {"fallbacks": {"deadline": 9999}}}  # longer ago than a day
    day = served.of_day(made)
    assert (day.decisions, day.per_second, day.busiest, day.share) == (24 * 3600, 1.0, 1.0, 0.0)
    assert (day.p50_ms, day.p99_ms) == (pytest.approx(1.0, rel=0.1), pytest.approx(1.2**10, rel=0.1))
    assert served.symptoms(day) == []
    made[20] = made[20] | {"served": hour["served"] | {"fallbacks": {"deadline": 1000, "no release": 728}}}
    (told,) = served.symptoms(served.of_day(made))
    assert (told.level, told.watch, told.number, told.since) == (TO_WATCH, "system", 0.02, START + 20 * HOUR)
    assert (
        "2.0% of the last day's decisions were fallbacks, chosen by no policy: deadline (1,000), no release (728)"
        in told.says
    )
    assert served.of_day([{"hour": hour_name(START), "n": 5}]) is None, "figures of an older version"
