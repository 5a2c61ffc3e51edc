"""The fast loop learns profits: a sale moves the shared head by price − cost, and one without a margin moves nothing."""

import tomllib
from dataclasses import replace
from functools import cache

import pytest

from croupier import Embedded
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.log.closings import Arrival
from croupier.features.schema import Reward
from croupier.features.spec import AppSpec
from croupier.features.worlds.rates import COST
from croupier.models.policy import make
from croupier.models.pricing.amounts import parameters
from croupier.serving.decide.replay import replay
from croupier.serving.learning.learning_steps import learnt
from croupier.serving.operate import verdict_release
from tests.serving.pricing import rooms

TOML = rooms.WORLD.app_toml(window_seconds=60).replace("floor = 0.02", "floor = 0.02\nfast_loop = true")
SPEC = AppSpec.model_validate(tomllib.loads(TOML))


@cache
def shared():
    """(encoder, the policy with one head for all prices)."""
    table = rooms.WORLD.interactions(800)
    encoder = Encoder.fit(SPEC, table, rooms.WORLD.arms())
    log = encode_interactions(table, encoder, encoder.catalogue(rooms.WORLD.arms()))
    made = parameters("demand_ts", encoder, SPEC.pricing)
    return encoder, make("demand_ts", heads="shared", **made).learn([log], seed=1)


def test_a_sale_teaches_its_profit_and_one_without_a_margin_nothing():
    (decision, *_), _ = rooms.WORLD.log(1)
    sale = Reward(event_id=decision.event_id, at=decision.at + 1, kind="booked", value=1.0)
    arrived = [Arrival(row=1, seen=1, reward=sale)]
    assert learnt(arrived, decision, SPEC.reward, closed=False) == float(decision.arm[5:]) - COST
    assert learnt([], decision, SPEC.reward, closed=True) == 0.0
    unknown = replace(decision, margin="")
    assert learnt(arrived, unknown, SPEC.reward, closed=False) is None
    assert learnt([], unknown, SPEC.reward, closed=True) is None


@pytest.mark.medium
def test_served_with_the_fast_loop_each_decision_is_derived_again(tmp_path):
    w = rooms.opened(tmp_path, TOML)
    encoder, policy = shared()
    more = {"encoder": encoder, "arms": rooms.WORLD.arms(), "meta": {"verdict": "test"}}
    verdict_release.release_policies(w, champion=policy, candidate=None, **more)
    with Embedded("hotel", var=tmp_path) as hotel:
        first = hotel.select_batch(rooms.requests(20))
        for answer in first:
            hotel.reward(event_id=answer.event_id, kind="booked", value=1.0)
        second = hotel.select_batch(rooms.requests(20, seed=1))
        release, spool = hotel.host.selector.release, hotel.host.spool
        found = spool.find([a.event_id for a in second])
        for decision in found.values():
            steps = replay(decision, load=lambda _: release, spool=spool, spec=w.spec.reward)
            assert all(s.holds for s in steps), steps
        assert max(d.posterior_step for d in found.values()) > policy.head.step
