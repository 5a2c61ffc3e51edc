"""A rollout of [pricing] goes by money: who sells more and earns less falls, who earns more climbs and becomes champion.

The hotel of tests/serving/pricing/rooms.py, in the product's own process: bookings come in, decisions have their margins,
the controller looks. A night for 60 is booked by 57 of 100 guests and earns 20 an asked guest, one for 90 by 44, and 29.
"""

import numpy as np
import pytest

from croupier import Embedded
from croupier.features import clock
from croupier.features.encoding.encoder import Encoder
from croupier.features.utc import SECOND
from croupier.features.worlds.rates import COST
from croupier.models.baselines import FixedArm
from croupier.serving.operate import verdict_release, watch
from croupier.serving.release import rollout_store
from tests.serving.pricing import rooms

START = 1_790_000_000_000_000  # UTC µs
ROLLOUT = '[rollout]\nstages = [0.5, 1.0]\nmargins = [0.0]\nmin_decisions = 1000\nholdout = 0.0\nseason = "none"\n'
IN_MONEY = rooms.WORLD.app_toml(window_seconds=5) + ROLLOUT
IN_BOOKINGS = (
    IN_MONEY.replace('[pricing]\nprice = "arm.rate"\ncost = 25.0\n', "")
    .replace("range = [0.0, 175.0]\n", "")
    .replace("sold = true\n", "")
    .replace('"demand_ts"', '"lin_ts"')
)
CHEAP, DEAR = "rate-60", "rate-90"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    return tmp_path


def asked_and_booked(hotel, look, n=500):
    """n guests ask, and book as the world has it. Returns of each role how many asked, booked, and what they paid more
    than their stay costs."""
    requests = rooms.requests(n, seed=look)
    answers, demand = hotel.select_batch(requests), rooms.WORLD.demand([r.context for r in requests])
    ids = [arm.arm_id for arm in rooms.WORLD.arms()]
    luck, found = np.random.default_rng([look, 5]).random(n), {}
    booked = []
    for i, answer in enumerate(answers):
        bought = bool(luck[i] < demand[i, ids.index(answer.arm)])
        booked += [answer.event_id] * bought
        paid = bought * (float(answer.arm.removeprefix("rate-")) - COST)
        found[answer.role] = found.get(answer.role, np.zeros(3)) + np.array([1, bought, paid])
    hotel.reward_batch([{"event_id": event, "kind": "booked", "value": 1.0} for event in booked])
    return found


def rolled_out(var, text, champion, candidate, *, looks=24):
    """What the look said that decided it, the evidence of all looks, what was asked, booked and earned by role until
    then, and the arm of who is champion after it."""
    w, total, history = rooms.opened(var, text), {}, []
    encoder = Encoder.empty(w.spec, rooms.WORLD.arms())
    with clock.at(START):
        verdict_release.release_policies(
            w,
            champion=FixedArm(arm=champion),
            candidate=FixedArm(arm=candidate),
            encoder=encoder,
            arms=rooms.WORLD.arms(),
            meta={"verdict": "test"},
        )
    with Embedded("hotel", var=var) as hotel:
        for look in range(looks):
            with clock.at(START + look * 60 * SECOND):
                for role, counts in asked_and_booked(hotel, look).items():
                    total[role] = total.get(role, np.zeros(3)) + counts
            with clock.at(START + look * 60 * SECOND + 30 * SECOND):
                said = watch.watch("hotel")
                hotel.host.look()
            if said["promoted"] is None:
                history = [each["evidence"] for each in rollout_store.read_state(w.store).history]
            if said["promoted"] or said["stage"] == "aborted":
                break
        return said, history, total, hotel.host.selector.release.champion.arm


@pytest.mark.medium
def test_who_sells_more_and_earns_less_is_rolled_back(home):
    said, history, total, champion = rolled_out(home, IN_MONEY, DEAR, CHEAP)
    (asked, booked, earned), (others, sold, brought) = total["candidate"], total["champion"]
    assert booked / asked > 1.1 * sold / others, "it sells more"
    assert earned / asked < 0.9 * brought / others, "and earns less"
    assert (said["stage"], said["promoted"], champion) == ("aborted", None, DEAR)
    assert "harm shown: reward" in said["reason"]
    assert history[-1]["upper"] < 0
    assert history[-1]["difference"] == pytest.approx(earned / asked - brought / others, abs=2.5), "money a decision"


@pytest.mark.medium
def test_who_sells_less_and_earns_more_becomes_champion(home):
    said, _, total, champion = rolled_out(home, IN_MONEY, CHEAP, DEAR)
    (asked, booked, earned), (others, sold, brought) = total["candidate"], total["champion"]
    assert booked / asked < 0.9 * sold / others, "it sells less"
    assert earned / asked > 1.1 * brought / others, "and earns more"
    assert (said["stage"], said["promoted"], champion) == ("100%", 2, DEAR)
    assert said["reason"].startswith("shown to be better")


@pytest.mark.medium
def test_by_bookings_alone_the_cheap_one_would_have_climbed(home):
    """The same guests and the same rates, without [pricing]: what the two above would say if margins were not read."""
    said, _, _, champion = rolled_out(home, IN_BOOKINGS, DEAR, CHEAP)
    assert (said["promoted"], champion) == (2, CHEAP)
