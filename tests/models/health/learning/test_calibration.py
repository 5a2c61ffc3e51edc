"""Predicted rewards against what came: each figure by hand, chance taken off, and what is worse than the mean is told."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue, Interactions
from croupier.models.health.learning.calibration import RewardCalibration, calibration
from croupier.models.health.symptom import TO_WATCH
from croupier.models.health.watches import learnt


def rewards(reward, unit=None):
    """A log of one arm with these rewards, an hour apart."""
    n = len(reward)
    nothing = np.zeros((n, 1), np.float32)
    batch = Batch(
        context=nothing,
        arm=np.zeros((n, 1), np.int64),
        mask=np.ones((n, 1), bool),
        pair=np.zeros((n, 1, 0), np.float32),
        catalogue=Catalogue(ids=("a",), features=np.zeros((1, 0), np.float32), digest=""),
    )
    one = np.ones(n)
    units = np.arange(n) if unit is None else unit
    return Interactions(
        batch=batch,
        chosen=np.zeros(n, np.int64),
        reward=np.asarray(reward, float),
        propensity=one,
        pmf=one[:, None],
        at=np.arange(n, dtype=np.int64) + 7,
        unit=units.astype(np.uint64),
        weight=one,
    )


def drawn(seed, n=4000):
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 8, n)
    return rewards(rng.random(n) < p), p


def test_figures_by_hand():
    reward = np.tile([0.0, 1.0, 1.0, 1.0], 150)  # predicted .25 and .75 by halves, each with the same rewards
    predicted = np.repeat([0.25, 0.75], 300)
    found = calibration("me", rewards(reward), predicted)
    assert [(b.rows, b.predicted, b.reward) for b in found.bins] == [(300, 0.25, 0.75), (300, 0.75, 0.75)]
    apart = np.sqrt(0.75 * 0.25 / 300)
    assert found.bins[0].low == pytest.approx(0.75 - 1.96 * apart)
    assert found.bins[0].high == pytest.approx(0.75 + 1.96 * apart)
    assert found.error == pytest.approx(0.25)
    assert found.chance == pytest.approx(apart * np.sqrt(2 / np.pi))
    assert found.beyond == found.error - found.chance
    assert found.sharpness == pytest.approx(0.0625 / 0.1875)
    errors, usual = (reward - predicted) ** 2, (reward - 0.75) ** 2
    assert found.skill == pytest.approx(1 - errors.mean() / usual.mean())
    more = errors - usual
    assert found.worse == pytest.approx(more.mean() / (more.std() / np.sqrt(600)))
    assert (found.who, found.rows, found.since) == ("me", 600, 7)
    assert RewardCalibration.from_dict(found.to_dict()) == found


def test_right_predictions_have_no_error_beyond_chance():
    """On average over logs the plain error is what chance adds: its expectation, not a bound."""
    made = [calibration("me", *drawn(seed)) for seed in range(20)]
    assert np.mean([c.error for c in made]) == pytest.approx(np.mean([c.chance for c in made]), rel=0.1)
    assert np.mean([c.error for c in made]) > 0.01
    assert all(c.skill > 0 and not c.useless for c in made)
    assert np.mean([c.sharpness for c in made]) == pytest.approx(np.var(drawn(0)[1]) / 0.16, rel=0.1)


def test_rows_of_a_unit_count_together():
    """Each unit's rewards are one draw, ten times: intervals are √10 as wide as those of as many independent rows."""
    rng = np.random.default_rng(1)
    reward, unit = np.repeat((rng.random(400) < 0.3).astype(float), 10), np.repeat(np.arange(400), 10)
    predicted = np.full(4000, 0.3)
    together, apart = (calibration("me", rewards(reward, u), predicted) for u in (unit, None))
    wide = [b.high - b.low for c in (together, apart) for b in c.bins]
    assert wide[0] == pytest.approx(np.sqrt(10) * wide[1])


def test_few_rows_or_equal_rewards_say_nothing():
    assert calibration("me", rewards(np.tile([0.0, 1.0], 200)), np.zeros(400)) is None
    assert calibration("me", rewards(np.ones(600)), np.zeros(600)) is None


def test_a_champion_that_predicts_worse_than_the_mean_is_watched():
    log, p = drawn(3)
    upside_down = calibration("the champion, lin_ts", log, 0.4 - p)
    assert upside_down.useless
    (told,) = learnt.symptoms(upside_down, (), at=9)
    assert (told.watch, told.level, told.cause, told.since) == ("model", TO_WATCH, "poor_prediction", 7)
    assert (told.number, told.threshold) == (upside_down.skill, 0.0)
    assert "predicts are further from what comes than the mean reward is" in told.says
    assert f"{-upside_down.skill:.0%} larger" in told.says
    good = calibration("the champion, lin_ts", log, p)
    assert learnt.symptoms(good, (), at=9) == []
    assert learnt.symptoms(replace(good, worse=3.9), (), at=9) == []


def no_better_than_the_mean(kind, n, seed):
    """Rewards of n / 10 units, and predictions whose squared error is that of the mean reward, in truth: what they know
    is undone by noise of the same variance."""
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(n // 10), 10)
    if kind == "money":
        worth = rng.lognormal(-2, 0.5, n // 10)[units]
        reward = np.where(rng.random(n) < 0.05, worth / 0.05 * rng.lognormal(0, 1, n) / np.exp(0.5), 0.0)
    else:
        rate = {"clicks": 0.2, "rare clicks": 0.01}[kind]
        worth = rng.beta(2, 2 / rate - 2, n // 10)[units]
        reward = (rng.random(n) < worth).astype(float)
    noise = rng.normal(size=n // 10)[units]
    return rewards(reward, units), worth + (noise - noise.mean()) / noise.std() * worth.std()


def told(kind, n, looks):
    """The share of looks at which `calibration` would be told."""
    made = [calibration("me", *no_better_than_the_mean(kind, n, seed)) for seed in range(looks)]
    return np.mean([c is not None and c.useless for c in made])


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["clicks", "rare clicks", "money"])
@pytest.mark.parametrize("n", [500, 5000])
def test_what_is_as_good_as_the_mean_is_not_told(kind, n):
    assert told(kind, n, 100) == 0


@pytest.mark.full
@pytest.mark.parametrize(("kind", "share"), [("clicks", 0.001), ("rare clicks", 0.001), ("money", 0.01)])
@pytest.mark.parametrize("n", [500, 5000])
def test_it_is_told_in_few_of_two_thousand_looks(kind, share, n):
    assert told(kind, n, 2000) <= share
