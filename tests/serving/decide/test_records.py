"""Clients' own decisions on receipt by the server: what was never a probability is not put on record."""

import shutil
from dataclasses import replace

import orjson
import pytest

from croupier.features.encoding.undeclared import Undeclared
from croupier.features.ids import hash_unit
from croupier.features.log.admission import Admission
from croupier.features.log.spool import Spool
from croupier.features.schema import InvalidEvent
from croupier.features.spec import AppSpec
from croupier.features.utc import HOUR
from croupier.models.baselines import Uniform
from croupier.serving.contract.requests import Request
from croupier.serving.decide.meter import Meter
from croupier.serving.decide.records import RawRecord, Records
from croupier.serving.triton.outcomes import CatalogueGuard, count
from tests.serving import apps

GOOD = RawRecord(
    unit_id=b"u",
    context=b"{}",
    arms=b'["a", "b"]',
    arm_context=b"",
    event_id=b"e",
    arm=b"a",
    pmf=b"[0.25, 0.75]",
    at=10**15,
    reason=b"down",
)


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "log.db", durability="NORMAL")
    yield made
    made.close()


@pytest.mark.parametrize("pmf", [b'["nan", "nan"]', b'"10"', b"[true, false]", b'{"1": 1, "0": 0}', b"[1e999, 0]",
                                 b"[" * 1000 + b"]" * 1000, b"[1, 0, 0]", b"[0.5, 0.6]", b"[0.5, null]"])  # fmt: skip
def test_a_pmf_that_is_no_list_of_probabilities_is_rejected(spool, pmf):
    (outcome,) = Records(spool, unit_key="k").take([replace(GOOD, pmf=pmf)])
    assert outcome.status == "rejected"
    assert outcome.error.startswith("pmf: found ")
    assert spool.counts()["decisions"] == 0


def test_a_context_too_deep_for_the_log_is_rejected_alone(spool):
    """Before the first release no encoder refuses it: JSON is read deeper than it can be written."""
    deep = replace(GOOD, context=b'{"a": ' + b"[" * 253 + b"]" * 253 + b"}")
    shallow = replace(GOOD, context=b'{"a": ' + b"[" * 252 + b"]" * 252 + b"}", event_id=b"f")
    outcomes = Records(spool, unit_key="k").take([deep, GOOD, shallow])
    assert [o.status for o in outcomes] == ["rejected", "accepted", "accepted"]
    assert outcomes[0].error.startswith("context: found ")


def test_a_release_that_was_taken_out_again_guards_no_longer(tmp_path):
    request = Request(unit_id="u", context={}, arms=("reel-01",))
    apps.write(tmp_path, Uniform(), number=1)
    guard = CatalogueGuard(tmp_path / "triton" / "select_arm")
    guard(request, Undeclared())
    apps.write(tmp_path, Uniform(), number=2, arms=apps.sample().arms[5:])
    with pytest.raises(InvalidEvent, match=r"^arms"):
        guard(request, Undeclared())
    shutil.rmtree(tmp_path / "triton" / "select_arm" / "2")  # Triton could not load it
    guard(request, Undeclared())


def test_what_a_stranger_wrote_is_no_label(spool):
    meter = Meter()
    outcomes = Records(spool, unit_key="k", guard=_unknown_feature).take([GOOD])
    assert outcomes[0].error.startswith('context.x"} 1: found ')
    count(meter, "record", "croupier_records_total", outcomes)
    labels = {dict(labels).get("field") for (name, labels) in meter.drain()[0] if name == "croupier_rejects_total"}
    assert labels == {"context"}


def _unknown_feature(_request, _undeclared):
    raise InvalidEvent('context.x"} 1', 5, "a declared feature")


NOW = 1_800_000_000_000_000
DECLARED = Admission.of(AppSpec.model_validate({"reward": {"window_seconds": 1800}, "record": {"floor": 0.1}}))


@pytest.mark.parametrize(("change", "reason", "error"), [
    ({"arm": b"a", "pmf": b"[0.0499, 0.9501]"}, "improbable",
     "pmf: found 0.0499, expected at least 0.05 (\u03b5/K, [record] floor in app.toml) for the arm that was shown"),
    ({"arm": b"a", "pmf": b"[1e-300, 1]"}, "improbable", "pmf: found 1e-300, expected at least 0.05 "),
    ({"at": NOW - HOUR - 1_800_000_001}, "absurd_time", f"at: found {NOW - HOUR - 1_800_000_001}, expected "),
    ({"at": NOW + HOUR + 1}, "absurd_time", f"at: found {NOW + HOUR + 1}, expected "),
    ({"at": NOW * 1000}, "absurd_time", f"at: found {NOW * 1000}, expected UTC microseconds"),
])  # fmt: skip
def test_an_improbable_or_backdated_record_is_refused_by_name_and_counted(spool, change, reason, error):
    records = Records(spool, unit_key="k", declared=lambda: DECLARED, clock=lambda: NOW)
    refused, taken = records.take([replace(GOOD, **{"at": NOW} | change), replace(GOOD, at=NOW, event_id=b"f")])
    assert (refused.status, refused.reason, taken.status) == ("rejected", reason, "accepted")
    assert refused.error.startswith(error)
    assert spool.counts() == {"decisions": 1, "rewards": 0, "rejects": 1, "thinned": 0}
    ((_, body),) = spool.read("rejects")
    assert orjson.loads(body)["reason"] == f"{reason}: {refused.error}"
    meter = Meter()
    count(meter, "record", "croupier_records_total", [refused, taken])
    assert meter.drain()[0]["croupier_not_admitted_total", (("model", "record"), ("reason", reason))] == 1


@pytest.mark.parametrize("change", [
    {"arm": b"a", "pmf": b"[0.05, 0.95]"}, {"at": NOW - HOUR - 1_800_000_000}, {"at": NOW + HOUR},
])  # fmt: skip
def test_a_record_at_the_edge_is_taken(spool, change):
    records = Records(spool, unit_key="k", declared=lambda: DECLARED, clock=lambda: NOW)
    assert records.take([replace(GOOD, **{"at": NOW} | change)])[0].status == "accepted"


def test_uniform_over_a_thousand_arms_is_never_improbable(spool):
    names = [f"arm-{i}" for i in range(1000)]
    raw = replace(GOOD, arms=orjson.dumps(names), arm=b"arm-7", pmf=orjson.dumps([0.001] * 1000), at=NOW)
    records = Records(spool, unit_key="k", declared=lambda: Admission.of(AppSpec()), clock=lambda: NOW)
    assert records.take([raw])[0].status == "accepted"


def test_an_owner_may_take_older_records(spool):
    spec = AppSpec.model_validate({"record": {"seconds": 86400}})
    records = Records(spool, unit_key="k", declared=lambda: Admission.of(spec), clock=lambda: NOW)
    outcomes = records.take([replace(GOOD, at=NOW - age * HOUR, event_id=b"%d" % age) for age in (23, 25)])
    assert [o.status for o in outcomes] == ["accepted", "rejected"]


@pytest.mark.parametrize(("change", "what"), [
    ({"unit_id": b"v"}, "unit"), ({"context": b'{"age": 3}'}, "context"), ({"arms": b'["b", "a"]'}, "arms"),
    ({"arm_context": b'[{"x": 1}, {}]'}, "arm_context"),
])  # fmt: skip
def test_a_record_under_the_id_of_another_question_is_refused_by_name(spool, change, what):
    records = Records(spool, unit_key="k")
    assert [records.take([GOOD])[0].status for _ in range(2)] == ["accepted", "accepted"]  # sent twice: once on record
    (outcome,) = records.take([replace(GOOD, **change)])
    assert (outcome.status, outcome.reason) == ("rejected", "event_id_reused")
    assert outcome.error == f"event_id: found 'e', expected a new id: this one was answered for another {what}"
    assert records.take([replace(GOOD, arm=b"b")])[0].status == "duplicate"  # the same question, another draw
    assert spool.counts() == {"decisions": 1, "rewards": 0, "rejects": 1, "thinned": 0}


@pytest.mark.parametrize(("change", "error"), [
    ({"event_id": b""}, "event_id: found '', expected the id the client gave this decision"),
    ({"arm": b"c"}, "arm: found 'c', expected one of arms, with a positive probability"),
    ({"arm": b"a", "pmf": b"[0, 1]"}, "arm: found 'a', expected one of arms, with a positive probability"),
    ({"arm": b"b", "pmf": b"[-0.25, 1.25]"}, "pmf: found [-0.25, 1.25], expected 2 probabilities that sum to 1"),
    ({"pmf": b"[0.25, 0.750002]"}, "pmf: found [0.25, 0.750002], expected 2 probabilities that sum to 1"),
    ({"pmf": b"[0.25, 0.749998]"}, "pmf: found [0.25, 0.749998], expected 2 probabilities that sum to 1"),
    ({"pmf": b"[1]"}, "pmf: found [1], expected 2 probabilities that sum to 1"),
    ({"pmf": b"[0.25, 0.75"}, "pmf: found b'[0.25, 0.75', expected a JSON list of numbers"),
    ({"at": 0}, "at: found 0, expected UTC microseconds since 1970"),
    ({"at": -1}, "at: found -1, expected UTC microseconds since 1970"),
    ({"at": 4_102_444_800_000_000}, "at: found 4102444800000000, expected UTC microseconds since 1970"),
])  # fmt: skip
def test_what_is_wrong_with_a_record_is_said_and_kept(spool, change, error):
    records = Records(spool, unit_key="k", clock=lambda: NOW)
    refused, taken = records.take([replace(GOOD, **change), replace(GOOD, event_id=b"f")])
    assert (refused.status, refused.error, taken.status, taken.error) == ("rejected", error, "accepted", "")
    ((_, body),) = spool.read("rejects")
    kept = orjson.loads(body)
    word = f"{refused.reason}: " if refused.reason else ""
    assert kept == {"kind": "decision", "field": error.partition(":")[0], "raw": change.get("event_id", b"e").decode(),
                    "reason": word + error, "at": NOW}  # fmt: skip


def test_a_record_is_kept_as_it_was_sent(spool):
    """pmf within a millionth of 1, at the last moment of the century, with a reason of any length."""
    sent = replace(
        GOOD,
        unit_id=b"ann",
        context=b'{"age": 3}',
        arm_context=b'[{"x": 1}, {}]',
        arm=b"b",
        pmf=b"[0.25, 0.7500005]",
        at=4_102_444_799_999_999,
        reason=b"d" * 300,
    )
    assert [o.status for o in Records(spool, unit_key="k").take([sent, replace(GOOD, event_id=b"f", reason=b"")])] == [
        "accepted",
        "accepted",
    ]
    found = spool.find(["e", "f"])
    d = found["e"]
    assert d.unit_id == hash_unit("k", "ann")
    assert (d.context, d.arms, d.arm_context) == ({"age": 3}, ("a", "b"), ({"x": 1}, {}))
    assert (d.pmf, d.arm, d.propensity) == ((0.25, 0.7500005), "b", 0.7500005)
    assert (d.at, d.policy, d.role, d.release) == (4_102_444_799_999_999, "client", "fallback", 0)
    assert (d.fallback_reason, found["f"].fallback_reason) == ("d" * 200, "unknown")


def test_a_propensity_is_never_above_one(spool):
    """A client's rule may sum to 1 within six digits: a hair more would break a rule of the log, and be held back."""
    sent = replace(GOOD, arm=b"b", pmf=b"[0.0, 1.0000005]")
    assert [o.status for o in Records(spool, unit_key="k").take([sent])] == ["accepted"]
    assert spool.find([sent.event_id.decode()])[sent.event_id.decode()].propensity == 1.0


def test_of_an_id_that_is_too_long_a_part_is_kept(spool):
    (outcome,) = Records(spool, unit_key="k").take([replace(GOOD, event_id=b"e" * 257)])
    assert (outcome.status, outcome.error.partition(":")[0]) == ("rejected", "event_id")
    ((_, body),) = spool.read("rejects")
    assert orjson.loads(body)["raw"] == "e" * 256


def test_a_log_that_fails_takes_no_record_and_says_so(spool):
    spool.path.unlink()
    outcomes = Records(spool, unit_key="k").take([GOOD, replace(GOOD, pmf=b"[1]")])
    assert {o.status for o in outcomes} == {"rejected"}
    assert all(o.error.startswith("log: ") and o.error.endswith("; send it again") for o in outcomes)


@pytest.mark.parametrize(("change", "status"), [
    ({}, "accepted"), ({"at": GOOD.at + 1}, "duplicate"), ({"pmf": b"[0.75, 0.25]"}, "duplicate"), ({"arm": b"b"}, "duplicate"),
])  # fmt: skip
def test_a_record_that_comes_again_is_accepted_again_and_another_draw_is_a_duplicate(spool, change, status):
    records = Records(spool, unit_key="k")
    records.take([GOOD])
    assert records.take([replace(GOOD, **change)])[0].status == status
    assert spool.find(["e"])["e"].pmf == (0.25, 0.75)
