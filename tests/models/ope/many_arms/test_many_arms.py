"""Very many arms: what is a table of rows and arms among few stays small, and says the same."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import Catalogue
from croupier.models.gate.gate import LEAK_LEVEL
from croupier.models.ope import reward_model
from croupier.models.ope.leaks import tested as leaks
from croupier.models.ope.leaks.columns import MOST_ARMS, arm_columns, likely_pmf, told_apart
from croupier.models.ope.reward_model import RewardModel
from tests.models.ope.test_leaks import log_of
from tests.models.ope.test_seconds import HONEST, by_outcome, honest_seconds


def of_many_arms(log, arms=90_000):
    """The log with each of its three arms being one of 30,000 alike, another in each decision."""
    kind = np.arange(arms) % 3
    rows = log.batch.arm + 3 * np.random.default_rng(1).integers(arms // 3, size=log.batch.arm.shape)
    known = Catalogue(ids=tuple(map(str, range(arms))), features=np.eye(3, dtype=np.float32)[kind], digest="")
    return replace(log, batch=replace(log.batch, arm=rows, catalogue=known))


@pytest.mark.medium
@pytest.mark.parametrize("whole", [True, False])
def test_seconds_are_seen_among_very_many_arms_as_among_few(whole):
    """A table of rows and arms would be a gigabyte here, and one of arms and arms 65."""
    few = log_of(1500, seed=5, columns=by_outcome, whole=whole)
    column, share = leaks.tested(of_many_arms(few)).outcome
    assert column == leaks.tested(few).outcome[0] == 3 + HONEST
    assert share == pytest.approx(leaks.tested(few).outcome[1], abs=0.1)
    honest = leaks.tested(of_many_arms(log_of(4000, seed=1, columns=honest_seconds, whole=whole)))
    assert (honest.p > LEAK_LEVEL, honest.outcome, honest.stated([])) == (True, (-1, 0.0), ())


def test_arms_are_told_apart_up_to_a_number_and_then_those_drawn_oftenest():
    few = log_of(300, seed=5, columns=by_outcome)
    np.testing.assert_array_equal(arm_columns(few), np.eye(3)[few.chosen])
    many = of_many_arms(few)
    place, size = told_apart(many)
    assert (size, int((place < MOST_ARMS).sum())) == (MOST_ARMS + 1, MOST_ARMS)
    counts = np.bincount(many.shown[0], minlength=len(place))
    assert counts[place < MOST_ARMS].min() >= counts[place == MOST_ARMS].max()
    np.testing.assert_array_equal(arm_columns(many)[:, MOST_ARMS + 1 :], np.eye(3)[few.chosen], "their features")


def test_how_likely_each_of_very_many_was_is_not_fitted():
    few = log_of(300, seed=5, columns=by_outcome)
    assert likely_pmf(few).std() > 0.05
    np.testing.assert_allclose(likely_pmf(of_many_arms(few)), 1 / 3)


def test_a_reward_model_scores_candidates_alone_where_arms_are_many_as_it_scores_all(monkeypatch):
    few = log_of(600, seed=5, columns=by_outcome)
    many = of_many_arms(few, arms=6_000)
    alone = RewardModel.fit(many).predict(many.batch)
    monkeypatch.setattr(reward_model, "SCANNED", 10_000)
    np.testing.assert_allclose(alone, RewardModel.fit(many).predict(many.batch), rtol=1e-9)
    assert alone.std() > 0.01
