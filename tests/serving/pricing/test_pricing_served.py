"""[pricing] in the product's own process: decided by profit, each margin logged and replayed, missing prices refused."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import orjson
import pytest

from croupier import Embedded, Refused
from croupier.features.encoding import catalogue
from croupier.features.schema import Arm
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.worlds.rates import COST, RATES
from croupier.models.ope.rounds import as_served
from croupier.serving.decide.records import RawRecord, Records
from croupier.serving.decide.replay import replay
from croupier.serving.operate import app_check, deployment
from croupier.serving.release import bundle_store
from croupier.serving.triton.outcomes import CatalogueGuard
from tests.serving.pricing import rooms

pytestmark = pytest.mark.medium


def test_what_is_served_is_the_policy_with_its_floor_and_each_decision_is_derived_again(tmp_path):
    w = rooms.opened(tmp_path)
    number = rooms.publish(w)
    held = bundle_store.manifest(w.store, number)["safeguards"]["pricing"]
    assert held == {"price": "arm.rate", "cost": 25.0, "monotone": True, "most": 1.0}
    asked, (_, policy) = rooms.requests(150), rooms.learnt()
    with Embedded("hotel", var=tmp_path) as hotel:
        answers = hotel.select_batch(asked)
        release, spool = hotel.host.selector.release, hotel.host.spool
        found = spool.find([a.event_id for a in answers])
        batch = hotel.host.selector.encoded(asked)
        for decision in list(found.values())[::6]:
            assert float(decision.margin) == RATES[decision.arms.index(decision.arm)] - COST
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())
            assert "margin" in {s.step for s in steps}
            assert all(s.holds for s in steps), steps
        decision.margin = "76.0" if decision.margin != "76.0" else "75.0"
        steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())
        assert (steps[-1].step, steps[-1].holds) == ("margin", False)
    served = np.array([a.pmf for a in answers])
    assert (served == as_served(policy, batch, 0.02)).all()
    assert (served >= 0.02 / len(RATES) - 1e-12).all()


def test_a_slate_of_rates_is_scored_anew_for_each_slot(tmp_path):
    rooms.publish(rooms.opened(tmp_path))
    with Embedded("hotel", var=tmp_path) as hotel:
        page = hotel.select_slate(
            unit_id="g", context={"trip": "business", "lead": 3.0}, arms=rooms.requests(1)[0].arms, k=2
        )
        found = hotel.host.spool.find([slot.event_id for slot in page.slots])
        release, spool = hotel.host.selector.release, hotel.host.spool
        first, second = (found[slot.event_id] for slot in page.slots)
        assert [float(d.margin) for d in (first, second)] == [float(d.arm[5:]) - COST for d in (first, second)]
        assert first.arm not in second.arms
        for decision in (first, second):
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())
            assert all(s.holds for s in steps), steps


def test_a_request_without_its_cost_is_refused_by_name_and_counted(tmp_path):
    rooms.publish(rooms.opened(tmp_path, rooms.TONIGHT), rooms.TONIGHT)
    asked = {"unit_id": "g", "arms": rooms.requests(1)[0].arms}
    with Embedded("hotel", var=tmp_path) as hotel:
        chosen = hotel.select(**asked, context={"trip": "group", "lead": 3.0, "clean": 31.5})
        decision = hotel.host.spool.find([chosen.event_id])[chosen.event_id]
        assert float(decision.margin) == float(chosen.arm.removeprefix("rate-")) - 31.5
        with pytest.raises(
            Refused, match=r"context\.clean: found None, expected a number from 0 on: \[pricing\] reads the cost"
        ):
            hotel.select(**asked, context={"trip": "group", "lead": 3.0})
        assert hotel.host.spool.counts()["rejects"] == 1


def test_a_catalogue_without_a_price_makes_no_release_and_app_check_says_why(tmp_path):
    w = rooms.opened(tmp_path)
    arms = [*rooms.WORLD.arms(), Arm(arm_id="suite", features={})]
    with pytest.raises(ValueError, match="arm suite: found rate = None, expected a number from 0 on"):
        rooms.publish(w, arms=arms)
    retired = [*rooms.WORLD.arms(), Arm(arm_id="suite", features={}, valid_to=1)]
    assert rooms.publish(w, arms=retired) == 2
    path = w.home / "app.toml"
    path.write_text(path.read_text().replace("range = [0.0, 175.0]", "range = [0.0, 100.0]"))
    w = rooms.Workspace(w.settings)
    found = app_check.check(w, now=app_check.from_us(0))
    said = (
        "found that rate-130 can bring 105, expected what reward.range allows, 0 to 100: such a reward would be refused"
    )
    assert f"pricing: {said}; 7 more like it" in found.problems
    assert "pricing: a sale earns arm.rate less 25; 35 to 175 in catalogue.json" in " ".join(found.facts["constraints"])


def test_a_client_s_own_decision_has_its_margin_too(tmp_path):
    w = rooms.opened(tmp_path, rooms.TONIGHT)
    rooms.publish(w, rooms.TONIGHT)
    deployment.follow(w.store, w.home, triton=None)
    guard = CatalogueGuard(w.home / "triton" / "select_arm")
    raw = RawRecord(
        unit_id=b"g", context=orjson.dumps({"trip": "group", "lead": 3.0, "clean": 30}), arms=b'["rate-60", "rate-70"]',
        arm_context=b"", event_id=b"e1", arm=b"rate-70", pmf=b"[0.5, 0.5]", at=10**15, reason=b"down",
    )  # fmt: skip
    with closing(w.spool()) as spool:
        taker = Records(spool, unit_key="k", guard=guard, margin=guard.margin, clock=lambda: 10**15 + 1)
        dear = replace(raw, context=b'{"trip": "group"}', event_id=b"e2")
        outcomes = taker.take([raw, dear])
        assert [o.status for o in outcomes] == ["accepted", "rejected"]
        assert outcomes[1].error.startswith("context.clean: found None, expected a number from 0 on: [pricing]")
        assert spool.find(["e1"])["e1"].margin == "40.0"


def test_a_program_whose_prices_are_no_longer_those_of_the_catalogue_is_refused_by_name(tmp_path):
    text, rates = rooms.WORLD.app_toml(), {arm.arm_id: arm.features for arm in rooms.WORLD.arms()}
    for arms in (rates, rates, {"rate-100": rates["rate-100"]}, {}):  # arms that came and went are no other prices
        with Embedded.declared("hotel", toml=text, arms=arms, var=tmp_path) as hotel:
            assert set(hotel.arms()) == set(rates)
    dearer = rates | {"rate-100": {"rate": 1000.0}}
    said = rf"found that a sale of rate-100 earns {100 - COST:g}, and {1000 - COST:g} by this program's arms"
    with pytest.raises(ValueError, match=said):
        Embedded.declared("hotel", toml=text, arms=dearer, var=tmp_path)
    catalogue.write(tmp_path / "hotel" / layout.CATALOGUE, [Arm(arm_id=a, features=f) for a, f in dearer.items()])
    Embedded.declared("hotel", toml=text, arms=dearer, var=tmp_path).close()
    with pytest.raises(ValueError, match=f"earns {1000 - COST:g}, and {100 - COST:g}"):
        Embedded.declared("hotel", toml=text, arms=rates, var=tmp_path)
