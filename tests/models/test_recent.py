"""A process is judged by all of its rows and by the latest alone, and its error is that of one process."""

import tomllib
from functools import partial

import numpy as np
import pytest

from croupier.features.batch import concatenate
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.spec import AppSpec, GateSpec
from croupier.features.utc import DAY
from croupier.features.worlds.reels import World
from croupier.models import policy, recent
from croupier.models.gate.evaluation import any_better, evaluate


def test_stretches_begin_whole_days_after_the_process():
    start = 7_000
    assert recent.stretches(start, start + DAY, 30.0) == [recent.Stretch(since=start, share=0.8)]
    seen = recent.stretches(start, start + 9 * DAY + 5, 30.0)
    assert [(s.since - start) / DAY for s in seen] == [0, 2, 6, 8, 9]
    assert [s.share for s in seen[1:]] == [pytest.approx(0.2 / 30)] * 4


@pytest.mark.parametrize("days", [0.1, 3.0, 30.0])
def test_all_looks_of_a_process_together_spend_no_more_than_alpha(days):
    """Each stretch pays once, however often it is looked at: its confidence sequence holds at all looks."""
    seen = {}
    for end in np.linspace(1, days * DAY + DAY, 997).astype(int):
        for stretch in recent.stretches(0, int(end), days):
            assert seen.setdefault(stretch.since, stretch.share) == stretch.share
    assert sum(seen.values()) <= 1.0 + 1e-12


@pytest.mark.medium
def test_a_family_that_is_better_since_the_users_changed_is_promoted_by_the_latest_rows():
    """Eight days of old tastes, where the candidate is worse than uniform, then two days of new ones."""
    world = World(seed=3)
    spec = AppSpec.model_validate(tomllib.loads(world.app_toml()))
    frames = [world.interactions(6000, seed=1), world.flipped().interactions(3000, seed=2)]
    encoder = Encoder.fit(spec, frames[0], world.arms())
    catalogue = encoder.catalogue(world.arms())
    log = concatenate([encode_interactions(frame, encoder, catalogue) for frame in frames])
    log.at[:] = np.where(np.arange(9000) < 6000, np.arange(9000) * 8 * DAY // 6000, 0)
    log.at[6000:] = 8 * DAY + np.arange(3000) * 2 * DAY // 3000
    learnt = encode_interactions(world.flipped().interactions(6000, seed=5), encoder, catalogue)
    policies = {"uniform": policy.make("uniform"), "lin_ts": policy.make("lin_ts").learn([learnt])}
    judge = partial(_evaluated, policies)
    assert judge(log, 1.0).promoted == "", "all rows together say that it is worse"

    better = partial(_better, policies)
    assert [better(log, 1.0), better(log[4500:], 0.2 / 30)] == [False, True]
    found = recent.judged(log, recent.stretches(0, 10 * DAY, 30.0), judge, better)
    report = found.policies["lin_ts"]
    assert found.promoted == "lin_ts"
    assert report.details["lately"] == {"since": 6 * DAY, "rows": 1500 + 3000}, "the longest stretch that shows it"
    alone = judge(log[4500:], 0.2 / 30)
    assert report.lift_bounds == alone.policies["lin_ts"].lift_bounds
    assert found.rows == 9000
    before = recent.judged(log[:6000], recent.stretches(0, 8 * DAY, 30.0), judge, better)
    assert before.promoted == ""
    assert "lately" not in before.policies["lin_ts"].details


def _evaluated(policies, rows, share):
    return evaluate(policies, rows, champion="uniform", floor=0.02, gate=GateSpec(), alpha=0.05 * share)


def _better(policies, rows, share):
    return any_better(policies, rows, champion="uniform", floor=0.02, gate=GateSpec(), alpha=0.05 * share)
