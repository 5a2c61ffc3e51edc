"""Reels: its truth is the truth. Open Bandit Dataset: its rows arrive unchanged."""

from contextlib import closing
from math import log as log_of
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from croupier.features.log.spool import Spool
from croupier.features.quality import audit
from croupier.features.quality.audit import PROPENSITY_ONLY
from croupier.features.schema import Decision
from croupier.features.spec import AppSpec
from croupier.features.worlds import obd
from croupier.features.worlds.reels import World, uniform_pmf

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

CACHE = Path(__file__).parents[3] / "var" / "cache"


@pytest.fixture
def spool(tmp_path):
    with closing(Spool(tmp_path / "log.db")) as spool:
        yield spool


def best_pmf(world):
    def pmf(visits):
        truth = world.truth(visits)
        return truth.argmax(axis=1)[:, None] == np.arange(truth.shape[1])

    return pmf


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_policy_is_much_better_than_uniform(seed):
    world = World(seed=seed)
    uniform, best = world.true_value(uniform_pmf, 5000), world.true_value(best_pmf(world), 5000)
    assert 0.10 < uniform < 0.20
    assert best > 1.6 * uniform


def test_clicks_follow_the_true_probabilities():
    world = World(seed=1)
    decisions, rewards = world.log(8_000)
    clicked = {r.event_id for r in rewards}
    p = world.click_probability(
        [d.context for d in decisions], [d.arms for d in decisions], [d.arm_context for d in decisions]
    )
    chosen = np.array([p[i, d.arms.index(d.arm)] for i, d in enumerate(decisions)])
    click = np.array([d.event_id in clicked for d in decisions])
    for low, high in ((0, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 0.4), (0.4, 1)):
        inside = (chosen >= low) & (chosen < high)
        error = np.sqrt((chosen[inside] * (1 - chosen[inside])).sum())
        assert abs(click[inside].sum() - chosen[inside].sum()) < 4 * error


def test_no_effect_makes_every_policy_worth_the_same():
    world = World(seed=2, effect=0.0)
    assert world.true_value(best_pmf(world), 500) == pytest.approx(world.true_value(uniform_pmf, 500), abs=1e-12)


def test_flipping_reverses_preferences():
    world = World(seed=2)
    turned = world.flipped()
    assert turned.true_value(best_pmf(world), 2000) < 0.7 * turned.true_value(uniform_pmf, 2000)
    assert turned.flipped().true_value(uniform_pmf, 500) == world.true_value(uniform_pmf, 500)
    assert turned.arms() == world.arms()


def test_same_seed_same_log_and_ragged_candidates():
    a, b, other = World(seed=4).log(50), World(seed=4).log(50), World(seed=4).log(50, seed=1)
    assert a == b
    assert a != other
    assert {len(d.arms) for d in a[0]} > {5, 12}
    assert World(seed=4, n_arms=3).users(2, np.random.default_rng(0))[0].arms  # fewer reels than candidates


def test_app_tomls_are_valid(tmp_path):
    for text in (World().app_toml(window_seconds=2), obd.app_toml()):
        (tmp_path / "app.toml").write_text(text)
        assert AppSpec.read(tmp_path / "app.toml").arm_context.keys() == {"affinity"}


def test_open_bandit_rows_arrive_unchanged(spool):
    wheel = obd.fetch(CACHE)
    assert obd.import_log(spool, wheel, limit=1500) == {"decisions": 1500, "rewards": 4}
    assert obd.import_log(spool, wheel, limit=1500)["decisions"] == 1500  # again: nothing new
    assert spool.counts()["decisions"] == 1500
    first: Decision = spool.find(["obd-random-all-000000"])["obd-random-all-000000"]
    assert (first.at, first.arm, first.propensity) == (1574553634762830, "item-14", 0.0125)
    assert first.context["position"] == "3"
    assert first.context["user_feature_0"] == "81ce123cbb5bd8ce818f60fb3586bba5"
    assert first.arms == tuple(a.arm_id for a in obd.arms(wheel))
    assert sum(first.pmf) == pytest.approx(1, abs=1e-12)


def test_thompson_sampling_propensities(spool):
    counts = obd.import_log(spool, obd.fetch(CACHE), behaviour="bts", campaign="men", limit=200)
    d = spool.find(["obd-bts-men-000003"])["obd-bts-men-000003"]
    assert counts["decisions"] == 200
    assert d.pmf[d.arms.index(d.arm)] == d.propensity
    assert d.stage == PROPENSITY_ONLY  # so that the audit reads no more than is known
    assert sum(d.pmf) == pytest.approx(1, abs=1e-12)


def test_no_index_no_data_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(RuntimeError, match="could not download the Open Bandit Dataset"):
        obd.fetch(tmp_path)


@pytest.mark.parametrize(("behaviour", "campaign"), [("random", "women"), ("bts", "men")])
def test_a_real_systems_propensities_pass_the_audit_and_wrong_ones_do_not(behaviour, campaign):
    """10,000 rounds that were served in production: the audit is silent on their true propensities."""
    decisions = []
    log = SimpleNamespace(append_decisions=decisions.extend, append_rewards=lambda rewards: [True] * len(rewards))
    obd.import_log(log, obd.fetch(CACHE), behaviour=behaviour, campaign=campaign)
    columns = ("release", "role", "policy", "stage", "arms", "pmf", "arm", "propensity")
    df = pl.DataFrame([{c: getattr(d, c) for c in columns} for d in decisions])
    (found,) = audit.evidence(df).values()
    assert (found.n, found.log_e < 1) == (10_000, True)
    halved = df.with_columns(propensity=pl.col("propensity") * 0.5, stage=pl.lit(PROPENSITY_ONLY))
    (wrong,) = audit.evidence(halved).values()
    assert wrong.log_e > log_of(1 / audit.ALPHA)
