"""What is no sound HTTP, byte by byte on the wire: an answer of 4xx or a closed connection, and nothing is decided."""

import socket

import pytest

from tests.serving.gateway.door import ARMS, actions, decisions
from tests.serving.gateway.load import posted

RANK, REWARD = "/personalizer/v1.0/rank", "/personalizer/v1.0/events/twice/reward"
HEAD = b"POST /personalizer/v1.0/rank HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
BODY = posted("/", {"actions": actions(*ARMS), "eventId": "torn"}).partition(b"\r\n\r\n")[2]
SIZE = b"%x\r\n" % len(BODY)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n"
TORN = {
    "the last chunk never comes": CHUNKED + SIZE + BODY + b"\r\n",
    "half a chunk": CHUNKED + SIZE + BODY[:40],
    "a chunk of no size": CHUNKED + b"zz\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk larger than any": CHUNKED + b"f" * 40 + b"\r\n" + BODY,
    "a chunk longer than it says": CHUNKED + b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "half the length": HEAD + LENGTH % (2 * len(BODY)) + b"\r\n" + BODY,
    "more than the length": HEAD + LENGTH % 10 + b"\r\n" + BODY,
    "a length below zero": HEAD + b"Content-Length: -1\r\n\r\n" + BODY,
    "a length of words": HEAD + b"Content-Length: many\r\n\r\n" + BODY,
    "two lengths": HEAD + LENGTH % len(BODY) + LENGTH % 5 + b"\r\n" + BODY,
    "a length and chunks": HEAD + LENGTH % 5 + b"Transfer-Encoding: chunked\r\n\r\n" + SIZE + BODY + b"\r\n",
    "a method of its own": b"RANK" + HEAD[4:] + b"\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "no header's end": HEAD + b"X: " + b"x" * 300_000,
    "a header without a name": HEAD + b": x\r\n" + LENGTH % 2 + b"\r\n{}",
    "a zero byte in a header": HEAD + b"X: a\x00b\r\n" + LENGTH % 2 + b"\r\n{}",
    "a path that is no path": b"GET \xff\xfe\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "an old protocol": b"POST /personalizer/v1.0/rank\r\n\r\n" + BODY,
}


def sent(port, raw):
    """All that came back until the connection was closed by one side."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        try:
            wire.sendall(raw)
            wire.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: wire.recv(65536), b""))
        except (BrokenPipeError, ConnectionResetError):
            return b""


@pytest.mark.medium
def test_what_is_torn_or_no_http_decides_nothing(gateway):
    for what, raw in TORN.items():
        came = sent(gateway.port, raw)
        assert came == b"" or came[9:10] == b"4", (what, came[:300])
    assert decisions(gateway.var, ["torn"]) == {}
    status, health = gateway.call("GET", "/v1/apps/shop/health")
    assert (status, health["well"]) == (200, True)
    assert not [code for code in health["worker"]["answers"] if code >= "500"]


@pytest.mark.medium
def test_calls_in_one_packet_are_answered_in_their_order(gateway):
    names = [f"p{i}" for i in range(20)]
    raw = b"".join(posted(RANK, {"actions": actions(*ARMS), "eventId": name}) for name in names)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as wire:
        wire.sendall(raw)
        came = b""
        while came.count(b'"eventId"') < len(names):
            came += wire.recv(65536)
    places = [came.index(f'"eventId":"{name}"'.encode()) for name in names]
    assert places == sorted(places)
    assert decisions(gateway.var, names).keys() == set(names)


@pytest.mark.medium
def test_head_and_body_of_an_answer_come_together(gateway):
    raw = posted(RANK, {"actions": actions(*ARMS)})
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as wire:
        for _ in range(20):
            wire.sendall(raw)
            came = wire.recv(65536)
            head, _, body = came.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 201 ")
            assert b"content-length: %d" % len(body) in head
            assert body.startswith(b'{"ranking"')


@pytest.mark.medium
def test_of_a_key_that_is_given_twice_the_last_counts_as_in_every_json_of_ours(gateway):
    body = b'{"eventId": "first", "eventId": "twice", "actions": [{"id": "blue", "id": "red"}]}'
    status, found = gateway.call("POST", RANK, raw=body)
    assert (status, found["eventId"], found["rewardActionId"]) == (201, "twice", "red")
    assert gateway.call("POST", REWARD, raw=b'{"value": 0, "value": 1}')[0] == 204
    assert decisions(gateway.var, ["first", "twice"]).keys() == {"twice"}
