"""Mutual information: by hand, by its law under independence and for normal numbers, by hours; what went silent is told."""

import numpy as np
import pytest

from croupier.features.health import sketch
from croupier.features.health.figures import figures
from croupier.features.utc import HOUR
from croupier.models.health.diagnosis import diagnose
from croupier.models.health.history import History
from croupier.models.health.learning.information import deviation, information, table
from croupier.models.health.learning.telling import telling
from croupier.models.health.symptom import TO_WATCH
from tests.features.health.test_figures import ROWS, SPEC, frame
from tests.models.health.plain_hours import START, hours


def test_by_hand():
    """Half of the decisions are of either value; one is always rewarded, the other never: log 2 nats, less (2 − 1)/2n."""
    assert information(np.array([[50.0, 50.0], [50.0, 0.0]])) == pytest.approx(np.log(2) - 1 / 200)
    p = np.array([[0.1, 0.4], [0.2, 0.3]])  # reward, value
    plain = sum(p[i, j] * np.log(p[i, j] / p[i].sum() / p[:, j].sum()) for i in range(2) for j in range(2))
    assert information(1000 * np.array([p.sum(axis=0), p[0]])) == pytest.approx(plain - 1 / 2000)
    assert information(np.array([[50.0, 50.0, 0.0], [50.0, 0.0, 0.0]])) == pytest.approx(np.log(2) - 1 / 200), (
        "no value"
    )
    assert information(np.array([[9.0, 8.0], [0.0, 0.0]])) == 0.0, "never a reward"
    assert information(np.zeros((2, 3))) == 0.0


def test_what_says_nothing_has_no_information_on_average_and_the_deviation_that_is_said():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        n_x = rng.multinomial(5000, np.full(12, 1 / 12)).astype(float)
        found.append(information(np.stack([n_x, rng.binomial(n_x.astype(int), 0.1)])))
    usual = deviation(np.stack([n_x, n_x]), 0.0)
    assert np.mean(found) == pytest.approx(0.0, abs=4 * usual / np.sqrt(400))
    assert np.std(found) == pytest.approx(usual, rel=0.15)
    assert usual == pytest.approx(np.sqrt(11 / 2) / 5000)


def test_a_number_that_goes_with_the_reward_either_way_tells_what_its_r_does_not():
    """Hours whose age says whether there is a reward by its distance from 38: r is 0, the information is not."""
    made = told(hours(3, 1), 1, lambda t: 1.0)
    (found,) = [each for each in telling(History.of(made)) if each.name == "context.age"]
    assert found.nats > 0.02 < found.nats_now
    assert found.r is None, "plain hours have no moments"
    feature = History.of(made).features["context.age"]
    assert table(feature, 0, 24)[0].sum() == 24 * 900
    assert table(feature, 0, 24).shape == (2, 18)


def told(made, seed, strength_of):
    """Gives each hour's age, and category, counts with a reward: far ages, and phones, are rewarded more."""
    rng = np.random.default_rng([seed, 6])
    for t, hour in enumerate(made):
        x, tv = rng.normal(38, 10, 900), rng.random(900) < 0.3
        far = np.abs(x - 38) > 8
        won = rng.random(900) < 0.15 + 0.12 * strength_of(t) * np.where(far, 1, -1)
        mine = rng.random(900) < 0.15 + 0.1 * strength_of(t) * np.where(tv, -1, 1)
        age, device = hour["features"]["context.age"], hour["features"]["context.device"]
        age |= {"bins": sketch.counted(x), "n": 900}
        age["won"] = {"bins": sketch.counted(x[won]), "others": 0, "missing": 0}
        device |= {"bins": {"phone": int((~tv).sum()), "tv": int(tv.sum())}, "n": 900}
        count = {"phone": int((mine & ~tv).sum()), "tv": int((mine & tv).sum())}
        device["won"] = {"bins": count, "others": 0, "missing": 0}
    return made


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(3))
def test_features_that_say_nothing_any_more_are_watched_and_named(seed):
    made = told(hours(16, seed), seed, lambda t: float(t < 15 * 24))
    found = {s.about: s for s in diagnose(History.of(made)).symptoms if s.cause == "feature_uninformative"}
    assert set(found) == {f"context.{name} and whether there is a reward" for name in ("age", "device")}
    for symptom in found.values():
        assert (symptom.watch, symptom.level, symptom.threshold) == ("feature", TO_WATCH, 0.005)
        assert symptom.since == START + 15 * 24 * HOUR
        assert symptom.number < 0.001
        assert "says nothing of the reward any more" in symptom.says
    for strength in (lambda t: 1.0, lambda t: 0.3 * (t < 15 * 24)):  # as ever; and what said little
        made = told(hours(16, seed), seed, strength)
        assert "feature_uninformative" not in {s.cause for s in diagnose(History.of(made)).symptoms}


def test_an_hour_counts_what_was_rewarded_by_the_shown_arms_values():
    """ROWS: e1 and e3 earn; both phones of age 30; the shown arm is the first. Affinity is the arm's place."""
    found = figures(frame(ROWS), SPEC)["features"]
    assert found["context.device"]["won"] == {"bins": {"phone": 2}, "others": 0, "missing": 0}
    assert found["context.age"]["won"] == {"bins": sketch.counted(np.array([30.0, 30.0])), "others": 0, "missing": 0}
    pair = found["arm_context.affinity"]
    assert pair["shown"]["bins"] == sketch.counted(np.array([0.0, 1.0, 0.0, 2.0]))
    assert pair["won"]["bins"] == sketch.counted(np.array([0.0, 0.0]))


def test_hours_of_older_versions_are_read_and_tell_nothing():
    history = History.of(hours(3, 1))
    assert [(f.nats, f.nats_now) for f in telling(history)] == [(None, None)] * 3
    mixed = [*hours(3, 1)[:60], *told(hours(3, 1), 1, lambda t: 1.0)[60:]]
    found = {f.name: f for f in telling(History.of(mixed))}
    assert found["context.age"].nats_now > 0.01
    assert found["context.age"].nats is None
    assert History.of(mixed).features["context.age"].told[:60].sum() == 0
