"""Whatever is sent: a refusal that names what is wrong, never a failure of the gateway's own."""

import asyncio
import contextlib
import gzip
import json
import socket
import urllib.parse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croupier.serving.gateway import body
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.problems import CallProblem
from tests.serving.gateway.door import ARMS, actions, decisions, declared, reward, workspace

RANK, SELECT, REWARDS = "/personalizer/v1.0/rank", "/v1/apps/shop/select", "/v1/apps/shop/rewards"
REWARD = "/personalizer/v1.0/events/e/reward"
RAW = [
    b"", b"{", b"null", b"7", b'"x"', b"[]", b"\xff\xfe", b"{}" * 2, b'{"value": NaN}', b'{"value": Infinity}', b'{"value": 1e999}',
    b'{"actions": NaN}', b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"value": ' + b"9" * 5000 + b"}",
    b'{"unit_id": "\\ud800"}', b'{"contextFeatures": [' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"]}",
    b'{"actions": [' + b"{}," * 200_000 + b"{}]}", b'{"unit_id": "u", "context": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    b'{"requests": [' + b"[]," * 1024 + b"[]]}", b'{"unit_id": "u", "arms": [' + b'"a",' * 50_000 + b'"a"]}',
    b'{"eventId": "a\\u0000b", "actions": [{"id": "red"}]}', b'{"event_id": "e", "kind": "click", "value": 1, "at": 1e40}',
]  # fmt: skip


def well(gateway):
    status, found = gateway.call("GET", "/v1/apps/shop/health")
    return status == 200 and found["well"]


@pytest.mark.medium
def test_bodies_that_are_no_question_are_refused(gateway):
    for path in (RANK, REWARD, SELECT, REWARDS):
        for raw in RAW:
            status, found = gateway.call("POST", path, raw=raw)
            assert 400 <= status < 500, (path, raw[:60], status)
            detail = found["error"]["message"] if path.startswith("/personalizer") else found["detail"]
            assert "found" in detail, detail
            assert len(detail) < 1000, detail
    assert well(gateway)


@pytest.mark.medium
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZIP", "identity, gzip"])
def test_a_body_that_is_not_sent_as_it_is_is_refused_by_its_encoding(gateway, coding):
    packed = gzip.compress(b'{"unit_id": "u"}')
    for path in (RANK, REWARD, SELECT, REWARDS):
        status, found = gateway.call("POST", path, raw=packed, headers={"Content-Encoding": coding})
        assert status == 415
        said = found["error"]["message"] if path.startswith("/personalizer") else found["detail"]
        assert said.startswith(f"Content-Encoding: found '{coding.lower()}', expected none, or identity")
    assert gateway.call("POST", SELECT, {"unit_id": "u"}, headers={"Content-Encoding": "identity"})[0] == 200


@pytest.mark.medium
def test_a_huge_body_is_refused_whether_it_says_its_length_or_not(gateway):
    big = b'{"x": "' + b"a" * body.MAX_BYTES + b'"}'
    assert gateway.call("POST", SELECT, raw=big)[0] == 413
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as wire:
        head = "POST /v1/apps/shop/select HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        wire.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        try:
            for _ in range(40):
                wire.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it hung up, having answered
        assert wire.recv(100).startswith(b"HTTP/1.1 413 ")
    assert well(gateway)


def test_a_body_that_does_not_come_is_waited_for_so_long(monkeypatch):
    monkeypatch.setattr(body, "SECONDS", 0.05)

    async def silent():
        await asyncio.Event().wait()

    async def hung_up():
        return {"type": "http.disconnect"}

    for receive, status in ((silent, 408), (hung_up, 400)):
        with pytest.raises(CallProblem) as found:
            asyncio.run(body.read({"type": "http", "headers": []}, receive))
        assert found.value.status == status


@pytest.mark.medium
@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/", 404), ("GET", RANK, 405), ("PUT", SELECT, 405), ("DELETE", "/v1/apps/shop/releases", 405),
    ("POST", "/personalizer/v1.0/evaluations", 404), ("GET", "/personalizer/v1.2-preview.1/status", 404),
    ("GET", "/personalizer/v1.0/multislot/rank", 405), ("PUT", "/personalizer/v1.0/configurations/service", 405),
    ("GET", "/v1/apps/../../etc/passwd", 404), ("GET", "/v1/apps/%00/health", 404), ("POST", "/personalizer/v1.0/events//activate", 400),
    ("POST", "/personalizer/v1.0/events/%ff%fe/activate", 400), ("POST", "/personalizer/v1.0/events/a%0ab/activate", 404),
    ("POST", "/personalizer/v1.0/events/" + "x" * 300 + "/activate", 400), ("OPTIONS", RANK, 405), ("PATCH", "/openapi.json", 405),
])  # fmt: skip
def test_unknown_paths_and_methods(gateway, method, path, status):
    found, answer = gateway.call(method, path)
    assert found == status
    assert set(answer) - {"field"} == (
        {"error"} if path.startswith("/personalizer/") else {"type", "title", "status", "detail"}
    )


@pytest.mark.medium
@pytest.mark.parametrize("root", ["/personalizer/v1.0/events", "/personalizer/v1.1-preview.1/multislot/events"])
def test_an_id_in_a_path_that_no_event_has_is_refused_by_name(gateway, root):
    """It would be put on record under another id: '%ff' as U+FFFD, which is an id like any other."""
    bodies = {
        "reward": {"reward": [{"slotId": "a", "value": 1}]} if "multislot" in root else {"value": 1},
        "activate": None,
    }
    with contextlib.closing(workspace(gateway.var).spool()) as spool:
        before = spool.counts()["rewards"]
        for quoted, said in {
            "%ff": "eventId: found '%FF'", "a%c3%28b": "eventId: found '%C3'", "%ED%A0%80": "eventId: found '%ED'",
            "%zz": "eventId: found '%zz', expected %25", "%": "eventId: found '%', expected", "100%": "eventId: found '%', expected",
            "%20": "eventId: found ' ', expected an id with more", "croupier:canary": "none of ours",
        }.items():  # fmt: skip
            for what, sent in bodies.items():
                status, found = gateway.call("POST", f"{root}/{quoted}/{what}", sent)
                assert (status, found["error"]["target"]) == (400, "eventId"), (quoted, what)
                assert said in found["error"]["message"]
        assert spool.counts()["rewards"] == before
    for name in (" ", "croupier:canary"):
        assert gateway.rank(eventId=name)[0] == 400, "what a path may not name no rank may either"
    assert gateway.rank(eventId="\ufffd%zz")[0] == 201
    assert gateway.event("%EF%BF%BD%25zz", "reward", {"value": 1})[0] == 204
    assert decisions(gateway.var, ["\ufffd%zz"]).keys() == {"\ufffd%zz"}


@pytest.mark.medium
def test_no_path_is_answered_with_another_place(gateway):
    paths = {
        RANK: "POST", SELECT: "POST", "/v1/apps/shop/health": "GET", "/v1/apps/shop/releases": "GET", "/openapi.json": "GET",
        "/personalizer/v1.0/status": "GET", "/personalizer/v1.0/events/e/reward": "POST",
    }  # fmt: skip
    for path, method in paths.items():
        status, found = gateway.call(method, f"{path}/", {} if method == "POST" else None)
        said = found["error"]["message"] if path.startswith("/personalizer") else found["detail"]
        assert (status, "none of which ends with a slash" in said) == (404, True), path


@pytest.mark.medium
def test_an_event_may_have_any_printable_name(gateway):
    for name in ("a/b", "a b", "é?#&", "reward", "x/reward", "..", "%2F"):
        quoted = urllib.parse.quote(name, safe="")
        assert gateway.rank(eventId=name, deferActivation=True)[0] == 201
        assert gateway.event(quoted, "activate")[0] == 204, name
        assert gateway.event(quoted, "reward", {"value": 1})[0] == 204, name


@pytest.mark.medium
def test_a_page_of_another_site_cannot_call(gateway):
    """What a browser sends without asking is no JSON; a name that was made to point here is not this machine's."""
    sent = json.dumps({"actions": actions(*ARMS)}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert gateway.call("POST", RANK, raw=sent, headers={"Content-Type": kind})[0] == 415
    assert gateway.call("POST", RANK, raw=sent, headers={"Host": "evil.example"})[0] == 403
    assert gateway.call("POST", RANK, raw=sent, headers={"Host": f"localhost:{gateway.port}"})[0] == 201


@pytest.mark.medium
@pytest.mark.parametrize(("host", "status"), [
    ("[::1", 403), ("[::1]:7]", 403), ("a b", 403), ("@", 403), ("127.0.0.1@evil.example", 403), ("", 403), ("127.0.0.1.evil.example", 403),
    ("localhost", 200), ("[::1]:80", 200), ("LOCALHOST:1", 200), ("127.0.0.1:x", 403), ("[::1]", 200), ("::1", 403),
])  # fmt: skip
def test_whoever_calls_by_another_name_is_refused(gateway, host, status):
    assert gateway.call("GET", "/personalizer/v1.0/status", headers={"Host": host})[0] == status


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([*ARMS, "hour"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.sampled_from(["id", "features", "hour", "affinity", "value"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
LISTED = st.permutations(list(ARMS)).map(lambda names: actions(*names))
RANKS = st.fixed_dictionaries(
    {"actions": LISTED | st.lists(st.fixed_dictionaries({"id": st.sampled_from([*ARMS])}, optional={"features": JSON}), max_size=4) | JSON},
    optional={"contextFeatures": st.just([{"hour": 1}]) | JSON, "eventId": st.just("e") | JSON,
              "excludedActions": JSON, "deferActivation": st.booleans() | JSON},
)  # fmt: skip


@pytest.mark.medium
def test_no_question_makes_it_fail(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path)))
    desk, answered, refused = Desk(Options(app="shop")), [], []

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(RANKS, JSON)
    def ask(asked, value):
        for work, arguments in ((desk.rank, (asked,)), (reward, (desk, "e", {"value": value}))):
            try:
                answered.append(work(*arguments))
            except CallProblem as problem:
                refused.append(problem)

    ask()
    assert [each.detail for each in refused if not 400 <= each.status < 500] == []
    assert sum(a is not None for a in answered) > 5
    desk.close()
