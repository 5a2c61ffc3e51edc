"""Rewards on receipt by the server: taken as they are declared, refused by name and counted otherwise."""

import orjson
import pytest

from croupier.features.clock import now_us
from croupier.features.log.admission import Admission
from croupier.features.log.spool import Spool
from croupier.features.spec import AppSpec
from croupier.features.utc import HOUR
from croupier.serving.contract.rewards import RawReward
from croupier.serving.decide.meter import Meter
from croupier.serving.decide.rewards import Rewards
from croupier.serving.operate import verdict_release
from croupier.serving.triton.declaration import Declaration, carried
from croupier.serving.triton.outcomes import TakeRewards, count
from tests import shop
from tests.serving import apps
from tests.spooled import rewards_of

SPEC = AppSpec.model_validate(
    {
        "reward": {"kinds": {"click": {}}, "guardrails": ["unsubscribe"]},
        "rollout": {"guardrails": {"complaint": "higher"}, "guardrail_ranges": {"complaint": [0, 3]}},
    }
)
NOW = 1_800_000_000_000_000


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "log.db", durability="NORMAL")
    yield made
    made.close()


def test_equal_values_are_one_reward_however_they_are_written(spool):
    values = [0.0, -0.0, 5e-324, 1e308, -1e308, 1.0, 1]
    outcomes = Rewards(spool).take([RawReward(b"e", b"click", v) for v in values])
    assert [o.status for o in outcomes] == ["unknown_event", "duplicate", *["unknown_event"] * 4, "duplicate"]
    assert [r.value for _, r in rewards_of(spool, ["e"])["e"]] == [0.0, 5e-324, 1e308, -1e308, 1.0]


@pytest.fixture
def receipt(spool):
    return Rewards(spool, declared=lambda: Admission.of(SPEC), clock=lambda: NOW)


KINDS = "one of click, complaint, unsubscribe; "
RIGHT = "; if such values are right, declare their range in app.toml: "
CLICK = f"expected 0 to 1 for a click{RIGHT}[reward.kinds.click] range"
FIRST, LAST = NOW - 721 * HOUR, NOW + HOUR


@pytest.mark.parametrize(("sent", "reason", "error"), [
    ((b"clikc", 1.0, 0), "undeclared_kind", f"kind: found 'clikc', expected {KINDS}did you mean click?"),
    ((b"sale", 1.0, 0), "undeclared_kind", f"kind: found 'sale', expected {KINDS}declare it in app.toml: [reward.kinds.NAME]"),
    ((b"click", 7.0, 0), "out_of_range", f"value: found 7.0, {CLICK}"),
    ((b"click", -0.5, 0), "out_of_range", f"value: found -0.5, {CLICK}"),
    ((b"complaint", 1e6, 0), "out_of_range", f"value: found 1000000.0, expected -3 to 3 for a complaint{RIGHT}[rollout] guardrail_ranges, complaint = [low, high]"),
    ((b"unsubscribe", 1.5, 0), "out_of_range", "value: found 1.5, expected -1 to 1 for a unsubscribe"),
    ((b"click", float("nan"), 0), "not_finite", "value: found nan, expected a finite number"),
    ((b"unsubscribe", float("-inf"), 0), "not_finite", "value: found -inf, expected a finite number"),
    ((b"click", 1.0, LAST + 1), "absurd_time", f"at: found {LAST + 1}, expected {FIRST} to {LAST} "),
    ((b"click", 1.0, FIRST - 1), "absurd_time", f"at: found {FIRST - 1}, expected {FIRST} to {LAST} "),
    ((b"click", 1.0, NOW * 1000), "absurd_time", f"at: found {NOW * 1000}, expected UTC microseconds since 1970"),
])  # fmt: skip
def test_what_is_not_declared_is_refused_by_name_and_counted(spool, receipt, sent, reason, error):
    kind, value, at = sent
    refused, taken = receipt.take([RawReward(b"e", kind, value, b"", at), RawReward(b"e", b"click", 1.0)])
    assert (refused.status, refused.reason, taken.status) == ("rejected", reason, "unknown_event")
    assert refused.error.startswith(error)
    (reject,) = (orjson.loads(body) for _, body in spool.read("rejects"))
    assert (reject["kind"], reject["reason"]) == ("reward", f"{reason}: {refused.error}")
    assert [(r.kind, r.value) for _, r in rewards_of(spool, ["e"])["e"]] == [("click", 1.0)]
    meter = Meter()
    count(meter, "reward", "croupier_rewards_total", [refused, taken])
    counted = meter.drain()[0]
    assert counted["croupier_not_admitted_total", (("model", "reward"), ("reason", reason))] == 1
    assert counted["croupier_rewards_total", (("fate", "rejected"),)] == 1


@pytest.mark.parametrize(("kind", "value", "at"), [
    (b"click", 0.0, 0), (b"click", 1.0, LAST), (b"click", 1.0, FIRST), (b"complaint", 3.0, 0),
    (b"complaint", -1.0, 0), (b"unsubscribe", 1.0, 0), (b"unsubscribe", -1.0, 0),
])  # fmt: skip
def test_what_is_declared_is_taken(spool, receipt, kind, value, at):
    (outcome,) = receipt.take([RawReward(b"e", kind, value, b"", at)])
    assert (outcome.status, outcome.error) == ("unknown_event", "")
    assert spool.counts()["rejects"] == 0


@pytest.mark.parametrize(("reward", "value", "taken"), [
    ({"kinds": {"watch": {"weight": 0.01}}}, 100.0, True), ({"kinds": {"watch": {"weight": 0.01}}}, 101.0, False),
    ({"kinds": {"watch": {"weight": -2.0}}, "range": [-1, 0]}, 0.5, True),
    ({"kinds": {"watch": {"weight": -2.0}}, "range": [-1, 0]}, -0.5, False),
    ({"kinds": {"watch": {"clip": [0, 60]}}}, 1e9, True),  # declared to be clipped
    ({"kinds": {"watch": {"clip": [0, 60], "range": [0, 86400]}}}, 1e9, False),
    ({"kinds": {"watch": {"range": [0, 5]}}}, 5.0, True), ({"kinds": {"watch": {"range": [0, 5]}}}, 5.1, False),
    ({"kinds": {"watch": {"how": "sum"}}}, -1.0, True),  # takes back what came
    ({"kinds": {"watch": {"how": "sum"}}}, -1.1, False),
    ({"kinds": {"watch": {}, "hide": {"weight": -1.0}}}, 7.0, True),  # only their sum has a range
    ({"kinds": {"watch": {"weight": 0.0}}}, 7.0, True), ({"kinds": {"watch": {"weight": 1e-320}}}, 7.0, True),
])  # fmt: skip
def test_the_range_of_one_value_is_not_the_range_of_what_they_come_to(spool, reward, value, taken):
    admission = Admission.of(AppSpec.model_validate({"reward": reward}))
    assert Admission.from_dict(orjson.loads(orjson.dumps(admission.to_dict()))) == admission
    (outcome,) = Rewards(spool, declared=lambda: admission).take([RawReward(b"e", b"watch", value)])
    assert outcome.status == ("unknown_event" if taken else "rejected")


@pytest.mark.medium
def test_the_server_takes_what_app_toml_declares_now_or_else_what_the_release_carries(tmp_path, capfd):
    service = TakeRewards({"model_repository": str(tmp_path / "triton" / "reward")})

    def sent(kind):
        (outcome,) = service.rewards.take([RawReward(b"e", kind, 0.5)])
        return outcome.status

    assert sent(b"anything") == "unknown_event"  # nobody has declared anything
    apps.write(tmp_path, apps.trained("uniform"), number=1)  # a release of before it carried this
    assert sent(b"whatever") == "unknown_event"
    apps.write(tmp_path, apps.trained("uniform"), number=2, meta={"admits": Admission.of(SPEC).to_dict()})
    assert [sent(kind) for kind in (b"click", b"clikc")] == ["unknown_event", "rejected"]
    toml = tmp_path / "app.toml"
    toml.write_text("[reward.kinds.clikc]")
    assert [sent(kind) for kind in (b"click", b"clikc")] == ["rejected", "unknown_event"]
    toml.write_text("[reward.kinds.clikc]\n[reward.kinds.sale]")
    assert sent(b"sale") == "unknown_event"
    toml.write_text("[reward")
    assert [sent(kind) for kind in (b"click", b"sale")] == ["rejected", "duplicate"]
    service.close()
    assert "rewards are taken as before" in capfd.readouterr().err


@pytest.mark.medium
def test_what_is_published_carries_what_app_toml_declares(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    w = shop.write(50, seed=1)
    number = verdict_release.bootstrap(w).number
    assert carried(w.home / "triton" / "select_arm" / str(number)) == Admission.of(w.spec)
    (w.home / "app.toml").rename(tmp_path / "elsewhere.toml")  # another host has none
    assert Declaration(w.home)() == Admission.of(w.spec)


def test_a_host_without_an_app_has_no_declaration(tmp_path):
    assert Declaration(tmp_path)() is None


def test_the_time_now_is_never_absurd(spool):
    (outcome,) = Rewards(spool).take([RawReward(b"e", b"click", 1.0, b"", now_us())])
    assert outcome.status == "unknown_event"


def test_a_reward_is_answered_by_what_became_of_it_and_learnt_from_only_when_new_and_known(spool):
    made, _ = shop_log()
    spool.append_decisions(made)
    learnt = []
    received = Rewards(
        spool, learn=lambda: learnt.append(len(rewards_of(spool, [made[0].event_id]))), clock=lambda: NOW
    )
    known, other = made[0].event_id.encode(), b"nobody's"

    def told(*rewards):
        return [outcome.status for outcome in received.take(list(rewards))]

    assert told(RawReward(other, b"click", 1.0)) == ["unknown_event"]
    assert learnt == []
    assert told(RawReward(known, b"click", 1.0), RawReward(other, b"click", 0.5)) == ["accepted", "unknown_event"]
    assert learnt == [1], "once a batch, and on record before"
    assert told(RawReward(known, b"click", 1.0)) == ["duplicate"]
    assert told(RawReward(other, b"click", 1.0), RawReward(known, b"click", 1.0)) == ["duplicate", "duplicate"]
    assert learnt == [1]
    assert told() == []
    assert told(RawReward(known, b"click", 1.0, b"an id", NOW - 5)) == ["accepted"]
    assert learnt == [1, 1]
    kept = [(r.at, r.kind, r.value, r.reward_id) for _, r in rewards_of(spool, [made[0].event_id])[made[0].event_id]]
    assert kept == [(NOW, "click", 1.0, ""), (NOW - 5, "click", 1.0, "an id")]


def test_a_batch_keeps_its_order_and_what_is_refused_is_kept_short(spool):
    received = Rewards(spool, clock=lambda: NOW)
    long = b"e" * 300
    outcomes = received.take(
        [RawReward(b"e", b"click", 1.0), RawReward(long, b"k" * 300, 2.0, b"r" * 300), RawReward(b"f", b"", 1.0)]
    )
    assert [o.status for o in outcomes] == ["unknown_event", "rejected", "rejected"]
    assert [o.error.partition(":")[0] for o in outcomes] == ["", "event_id", "kind"]
    first, second = (orjson.loads(body) for _, body in spool.read("rejects"))
    assert (first["kind"], first["field"], first["raw"], first["at"]) == (
        "reward",
        "event_id",
        "e" * 256 + " " + "k" * 256 + " 2.0 " + "r" * 256,
        NOW,
    )
    assert second["raw"] == "f  1.0 "


def test_a_log_that_fails_takes_no_reward_and_says_so(spool):
    spool.path.unlink()
    (outcome,) = Rewards(spool).take([RawReward(b"e", b"click", 1.0)])
    assert outcome.status == "rejected"
    assert outcome.error.startswith("log: ")
    assert outcome.error.endswith("; send it again")


def shop_log():
    return apps.sample().world.log(3)
