"""Through the real Triton: what is served is what the policy says offline, and bad input is an error with a name."""

import json
import urllib.request
from dataclasses import replace

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from croupier.features.encoding.encoder import Encoder
from croupier.features.log.spool import Spool
from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.client.errors import Refused, Unavailable
from croupier.serving.contract import codec
from croupier.serving.contract.requests import MAX_FIELD_BYTES, Request
from croupier.serving.operate import trial
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

pytestmark = pytest.mark.slow
POLICIES = ("uniform", "vw_cb_adf", "neural_linear")
TOLERANCE = 1e-5
SELECT = ("unit_id", "context", "arms", "arm_context", "event_id")


@pytest.fixture(scope="module")
def triton(tmp_path_factory):
    home = tmp_path_factory.mktemp("app")
    apps.write(home, Uniform())
    with EndedAtOnce(home, ports=Ports.free()) as server:
        yield server


@pytest.fixture
def client(triton):
    with Client(triton.grpc, deadline_ms=20_000) as made:
        yield made


@pytest.fixture
def spool(triton):
    made = Spool(triton.home / "spool" / "log.db")
    yield made
    made.close()


def publish(triton, champion, candidate=None, **kwargs):
    number = max(int(p.name) for p in (triton.home / "triton" / "select_arm").iterdir() if p.is_dir()) + 1
    release = apps.write(triton.home, champion, candidate, number=number, **kwargs)
    trial.load_model(triton.grpc, "select_arm", triton.home)
    trial.wait_for_release(triton.grpc, number)
    return release


def worst(answers, expected):
    """Largest difference of any probability, propensities included."""
    errors = [0.0]
    for answer, pmf in zip(answers, expected, strict=True):
        assert answer.error == ""
        errors.append(np.abs(np.array(answer.pmf) - pmf[: len(answer.pmf)]).max())
        errors.append(np.abs(pmf - answer.propensity).min())
    return max(errors)


@pytest.mark.parametrize("name", POLICIES)
def test_served_equals_offline(triton, client, spool, name):
    release = publish(triton, apps.trained(name))
    requests = apps.sample().requests(500, seed=9, strange=True)
    requests = [replace(r, event_id=f"{name}-{r.event_id}") for r in requests]
    answers = client.select_batch(requests)
    assert {a.release for a in answers} == {release.number}
    assert worst(answers, apps.offline(release, requests)) < TOLERANCE
    one_by_one = [client.select_batch([replace(r, event_id=f"single-{r.event_id}")])[0] for r in requests[:50]]
    assert worst(one_by_one, apps.offline(release, requests[:50])) < TOLERANCE
    assert [len(a.pmf) for a in answers] == [len(r.arms) for r in requests]
    logged = spool.find([r.event_id for r in requests])
    assert [(logged[a.event_id].arm, logged[a.event_id].propensity) for a in answers] == [
        (a.arm, a.propensity) for a in answers
    ]


@pytest.mark.parametrize("fault", ["swapped column", "stale encoder"])
def test_planted_errors_are_seen(triton, client, fault):
    """The comparison above can fail: serve with an encoder that differs, compare with the right one."""
    app, policy = apps.sample(), apps.trained("vw_cb_adf")
    right = apps.write(triton.home.parent / fault, policy)
    wrong = Encoder.fit(app.spec, app.world.interactions(200, seed=5), app.arms)
    if fault == "swapped column":
        features = list(app.encoder.context.features)
        i, j = (next(k for k, f in enumerate(features) if f.name == n) for n in ("age", "hour"))
        features[i], features[j] = replace(features[i], name="hour"), replace(features[j], name="age")
        blocks = [type(app.encoder.context)("context", features), app.encoder.arm, app.encoder.pair]
        wrong = Encoder(blocks)
    number = max(int(p.name) for p in (triton.home / "triton" / "select_arm").iterdir() if p.is_dir()) + 1
    apps.write(triton.home, policy, number=number, encoder=wrong)
    trial.load_model(triton.grpc, "select_arm", triton.home)
    trial.wait_for_release(triton.grpc, number)
    requests = [replace(r, event_id="") for r in app.requests(100, seed=2)]
    assert worst(client.select_batch(requests), apps.offline(right, requests)) > TOLERANCE


ARMS = [f"reel-{i:02d}" for i in range(5)]
GOOD = {
    "unit_id": b"u", "context": b'{"country":"AT","age":30}', "arms": json.dumps(ARMS).encode(), "arm_context": b"",
    "event_id": b"",
}  # fmt: skip
BAD_REQUESTS = {
    "not JSON": ("context", b"{age: 30}"),
    "half JSON": ("context", b'{"age": 3'),
    "NaN": ("context", b'{"age": NaN}'),
    "Infinity": ("context", b'{"age": Infinity}'),
    "huge number": ("context", b'{"age": 1e999}'),
    "wrong type": ("context", b'{"age": "thirty"}'),
    "nested": ("context", b'{"age": {"years": 30}}'),
    "a list": ("context", b"[1, 2]"),
    "unknown feature": ("context", b'{"colour": "red"}'),
    "a million deep": ("context", b"[" * 60_000),
    "1 MB context": ("context", b'{"country": "' + b"x" * (1 << 20) + b'"}'),
    "invalid UTF-8": ("context", b'{"country": "\xff\xfe"}'),
    "no arms": ("arms", b"[]"),
    "arms not a list": ("arms", b'"reel-01"'),
    "unknown arm": ("arms", b'["reel-01", "reel-99"]'),
    "10,000 arms": ("arms", json.dumps([f"a{i}" for i in range(10_000)]).encode()),
    "duplicate arms": ("arms", b'["reel-01", "reel-01"]'),
    "an arm that is a number": ("arms", b'["reel-01", 2]'),
    "arm_context too short": ("arm_context", b'[{"affinity": 1}]'),
    "arm_context unknown": ("arm_context", json.dumps([{"price": 1}] * 5).encode()),
    "no unit": ("unit_id", b""),
    "a newline in the unit": ("unit_id", b"u\n1"),
    "a unit not UTF-8": ("unit_id", b"\xff"),
    "a long event id": ("event_id", b"e" * 300),
}


def ask(client, *rows):
    columns = {name: ("BYTES", [row[name] for row in rows]) for name in SELECT}
    return client.call("select_arm", columns)


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_refused_by_name_and_its_neighbours_are_served(client, spool, case):
    field, value = BAD_REQUESTS[case]
    before = spool.counts()
    reply = ask(client, GOOD, GOOD | {field: value}, GOOD)
    assert reply["error"][1].startswith(field), reply["error"][1]
    assert "expected" in reply["error"][1]
    assert len(reply["error"][1]) < 600
    assert (reply["arm"][1], reply["propensity"][1], reply["event_id"][1]) == ("", 0.0, "")
    for i in (0, 2):
        assert reply["error"][i] == ""
        assert reply["arm"][i] in ARMS
        assert sum(reply["pmf"][i]) == pytest.approx(1.0, abs=1e-9)
    after = spool.counts()
    assert (after["decisions"] - before["decisions"], after["rejects"] - before["rejects"]) == (2, 1)


@pytest.mark.parametrize("text", ["a\nb", "a|b:1", "|x 1:2\n0:1", "", "\u2028", "'; DROP TABLE decisions"])
def test_strange_strings_in_a_feature_are_unknown_categories(client, text):
    chosen = client.select(unit_id="u", context={"country": text}, arms=ARMS)
    same = client.select(unit_id="u", context={"country": "never seen"}, arms=ARMS)
    assert np.allclose(chosen.pmf, same.pmf, atol=1e-12)


def test_one_arm_and_missing_features_are_fine(client):
    chosen = client.select(unit_id="u", context={}, arms=["reel-03"])
    assert (chosen.arm, chosen.propensity, chosen.pmf) == ("reel-03", 1.0, (1.0,))


def test_the_client_refuses_by_name_too(client):
    with pytest.raises(Refused, match=r"^context: .*finite"):
        client.select(unit_id="u", context={"age": float("nan")}, arms=ARMS)
    with pytest.raises(Refused, match=r"^context\.colour: "):
        client.select(unit_id="u", context={"colour": 1}, arms=ARMS)
    with pytest.raises(Refused, match=r"^context: .*bytes"):
        client.select(unit_id="u", context={"country": "x" * MAX_FIELD_BYTES}, arms=ARMS)
    mixed = [Request(unit_id="u", context=c, arms=ARMS) for c in ({"age": 1}, {"age": {1: object()}}, {"age": "x"})]
    assert [bool(a.error) for a in client.select_batch(mixed)] == [False, True, True]


def test_rewards_meet_their_fate_by_name(client, spool):
    chosen = client.select(unit_id="u", context={"age": 30}, arms=ARMS)
    before = spool.counts()
    sent = [
        {"event_id": chosen.event_id, "kind": "click", "value": 1.0},
        {"event_id": chosen.event_id, "kind": "click", "value": 1.0},
        {"event_id": "never-decided", "kind": "click", "value": 1.0},
        {"event_id": chosen.event_id, "kind": "click", "value": float("nan")},
        {"event_id": chosen.event_id, "kind": "click", "value": float("inf")},
        {"event_id": "", "kind": "click", "value": 1.0},
        {"event_id": chosen.event_id, "kind": "", "value": 1.0},
        {"event_id": chosen.event_id, "kind": "click", "value": 1.0, "at": -5},
    ]
    outcomes = client.reward_batch(sent)
    assert [o.status for o in outcomes] == ["accepted", "duplicate", "unknown_event", *["rejected"] * 5]
    assert [o.error.partition(":")[0] for o in outcomes[3:]] == ["value", "value", "event_id", "kind", "at"]
    after = spool.counts()
    assert after["rewards"] - before["rewards"] == 2  # none of the malformed ones, not even as zero
    assert after["rejects"] - before["rejects"] == 6
    with pytest.raises(Refused, match=r"^value"):
        client.reward(event_id=chosen.event_id, kind="click", value=float("nan"))


def test_callers_of_any_kind_batch_together(triton):
    """Optional inputs left out, and the shape of a reply, by the bare protocol."""
    columns = {name: ("BYTES", [GOOD[name]] * 3) for name in ("unit_id", "context", "arms")}
    with grpc.insecure_channel(triton.grpc) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer", service_pb2.ModelInferRequest.SerializeToString, codec.parse
        )
        reply = codec.infer_response(infer(codec.infer_request("select_arm", columns)))
    assert reply["error"] == [""] * 3
    assert len(set(reply["event_id"])) == 3
    assert [len(row) for row in reply["pmf"]] == [5] * 3


def test_a_missing_input_is_an_error_and_the_server_still_serves(triton, client):
    with pytest.raises(Unavailable, match="context"):
        client.call("select_arm", {"unit_id": ("BYTES", [b"u"]), "arms": ("BYTES", [GOOD["arms"]])})
    assert client.select(unit_id="u", context={}, arms=ARMS).arm in ARMS
    with urllib.request.urlopen(f"http://127.0.0.1:{triton.ports.http}/v2/health/ready") as reply:
        assert reply.status == 200
