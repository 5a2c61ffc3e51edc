"""Whatever stands in any part of any path, of every route that there is: an answer, or a refusal (4xx) that says what was
found and what was expected; never a failure of the gateway's own, and nothing is decided."""

import contextlib
import re
import urllib.parse

import pytest

from croupier.serving.gateway.app import application
from croupier.serving.gateway.options import Options
from tests.serving.gateway.door import actions, decisions, workspace

VALUES = [
    "", "x", "0", "-1", "shop ", "SHOP", "\0", "a\nb", "\u202e", "é" * 130, "نص", "x" * 300, "x" * 20_000, ".", "..", "../..", "//", "a/b/c",
    "%", "%00", "'; DROP TABLE decisions; --", '"', "{event_id}", "croupier:canary", "?", "#", "reward", "activate", "v1.0", "null", "[]",
]  # fmt: skip
RAW = [
    "%ff%fe",
    "%c3%28",
    "%",
    "%zz",
    "%u0041",
    "%ED%A0%80",
    "a%0d%0aX-Injected:%201",
]  # no UTF-8, no escape, half a pair
GOOD = {"version": "v1.0", "app": "shop", "event_id": "nobody"}
PART = re.compile(r"\{(\w+)(?::path)?\}")
ROUTES = [
    (each.path, method) for each in application(Options(app="shop")).app.routes for method in sorted(each.methods)
]
QUERIES = ["?", "?a=1&a=2", "?" + "x" * 5000, "?%ff=%00", "?version=v1.1&app=other"]
BODIES = {"POST": b"{}"}


def filled(path, **parts):
    return PART.sub(lambda found: (GOOD | parts)[found[1]], path)


def paths():
    """(method, path as it travels), of each route with each value in each of its parts."""
    for path, method in ROUTES:
        for name in PART.findall(path):
            for value in [*(urllib.parse.quote(v, safe="") for v in VALUES), *RAW]:
                yield method, filled(path, **{name: value})
        for query in QUERIES:
            yield method, filled(path) + query


def refused_well(path, status, answer):
    """Whether an answer that is no success has the shape of its callers, and says something."""
    if not 400 <= status < 500:
        return False
    if answer is None:
        return True  # of a HEAD
    said = answer["error"]["message"] if path.startswith("/personalizer/") else answer["detail"]
    return "found" in said and "expected" in said and len(said) < 1000


@pytest.mark.medium
def test_each_route_answers_or_refuses_whatever_stands_in_its_path(gateway):
    asked, odd, seen = 0, [], set()
    for method, path in paths():
        status, answer = gateway.call(method, path, raw=BODIES.get(method))
        seen.add(status)
        asked += 1
        if status >= 300 and not refused_well(path, status, answer):
            odd.append((method, path[:100], status, answer))
    assert odd == []
    assert asked > 500
    assert seen == {200, 400, 404}
    with contextlib.closing(workspace(gateway.var).spool()) as spool:
        assert spool.counts()["decisions"] == 0
    health = gateway.call("GET", "/v1/apps/shop/health")[1]
    assert health["well"]
    assert not [code for code in health["worker"]["answers"] if code >= "500"]


@pytest.mark.medium
@pytest.mark.parametrize("page", [False, True])
def test_an_activation_takes_any_body_and_acts_once(gateway, page):
    """Personalizer's clients send none; what others send is not read, within the bounds of every call."""
    root = f"/personalizer/v1.0/{'multislot/' if page else ''}"
    for i, raw in enumerate((None, b"", b"{", b"null", b"\xff", b'{"value": NaN}', b"[" * 10_000)):
        event = f"activated-{page}-{i}"
        body = {"actions": actions("red"), "eventId": event, "deferActivation": True}
        body |= {"slots": [{"id": "top"}]} if page else {}
        assert gateway.call("POST", f"{root}rank", body)[0] == 201
        decided = f"{event}/top" if page else event
        assert decisions(gateway.var, [decided]) == {}
        assert gateway.call("POST", f"{root}events/{event}/activate", raw=raw)[0] == 204, raw
        assert decisions(gateway.var, [decided]).keys() == {decided}
        status, answer = gateway.call("POST", f"{root}events/{event}/activate", raw=raw)
        assert status == (400 if page else 204), answer
    assert gateway.call("POST", f"{root}events/e/activate", raw=b" " * (2 << 20))[0] == 413
