"""The REST interface and its OpenAPI document, which is true: each path answers as it says."""

import re

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from croupier.serving.gateway import openapi
from croupier.serving.gateway.app import application
from croupier.serving.gateway.options import Options
from tests.serving.gateway.door import ARMS, actions, decisions

DOCUMENT = openapi.document("shop")
ROOT, THEIRS = "/v1/apps/shop", "/personalizer/v1.0"
CALLS = [  # (method, path as documented, path as called, body, statuses that it must show)
    ("post", "/personalizer/{version}/rank", f"{THEIRS}/rank", {"actions": actions(*ARMS), "eventId": "doc", "deferActivation": True}, 201),
    ("post", "/personalizer/{version}/rank", f"{THEIRS}/rank", {"actions": []}, 400),
    ("post", "/personalizer/{version}/events/{event_id}/activate", "/personalizer/v1.0/events/doc/activate", None, 204),
    ("post", "/personalizer/{version}/events/{event_id}/activate", "/personalizer/v1.0/events/none/activate", None, 400),
    ("post", "/personalizer/{version}/events/{event_id}/reward", "/personalizer/v1.0/events/doc/reward", {"value": 1}, 204),
    ("post", "/personalizer/{version}/events/{event_id}/reward", "/personalizer/v1.0/events/doc/reward", {"value": "x"}, 400),
    ("post", "/personalizer/{version}/multislot/rank", f"{THEIRS}/multislot/rank",
     {"actions": actions(*ARMS), "slots": [{"id": "a"}, {"id": "b"}], "eventId": "page", "deferActivation": True}, 201),
    ("post", "/personalizer/{version}/multislot/rank", f"{THEIRS}/multislot/rank", {"actions": actions(*ARMS)}, 400),
    ("post", "/personalizer/{version}/multislot/events/{event_id}/activate", f"{THEIRS}/multislot/events/page/activate", None, 204),
    ("post", "/personalizer/{version}/multislot/events/{event_id}/activate", f"{THEIRS}/multislot/events/page/activate", None, 400),
    ("post", "/personalizer/{version}/multislot/events/{event_id}/reward", f"{THEIRS}/multislot/events/page/reward",
     {"reward": [{"slotId": "a", "value": 1}]}, 204),
    ("post", "/personalizer/{version}/multislot/events/{event_id}/reward", f"{THEIRS}/multislot/events/page/reward", {"reward": 1}, 400),
    ("get", "/personalizer/{version}/status", f"{THEIRS}/status", None, 200),
    ("get", "/personalizer/{version}/status", "/personalizer/v1.1-preview.3/status", None, 200),
    ("get", "/personalizer/{version}/status", "/personalizer/v2/status", None, 404),
    ("get", "/personalizer/{version}/configurations/service", f"{THEIRS}/configurations/service", None, 200),
    ("get", "/personalizer/{version}/configurations/policy", f"{THEIRS}/configurations/policy", None, 200),
    ("get", "/personalizer/{version}/logs/properties", f"{THEIRS}/logs/properties", None, 200),
    ("get", "/personalizer/{version}/logs/interactions/properties", f"{THEIRS}/logs/interactions/properties", None, 200),
    ("post", "/v1/apps/{app}/select", f"{ROOT}/select", {"unit_id": "u"}, 200),
    ("post", "/v1/apps/{app}/select", f"{ROOT}/select", {"requests": [{"unit_id": "u"}, {"unit_id": 7}]}, 200),
    ("post", "/v1/apps/{app}/select", f"{ROOT}/select", {"unit_id": "u", "arms": ["pink"]}, 400),
    ("post", "/v1/apps/{app}/select", "/v1/apps/other/select", {"unit_id": "u"}, 404),
    ("post", "/v1/apps/{app}/allocate", f"{ROOT}/allocate",
     {"unit_id": "u", "items": [{"id": "one"}, {}], "options": [{"id": "red", "cost": 0.5}, {"id": "blue", "cost": 2}], "total": 3}, 200),
    ("post", "/v1/apps/{app}/allocate", f"{ROOT}/allocate", {"unit_id": "u", "items": [{}], "options": ["red"], "total": 3}, 400),
    ("post", "/v1/apps/{app}/allocate", f"{ROOT}/allocate", {"unit_id": "u", "items": [{}], "budget": 3}, 400),
    ("post", "/v1/apps/{app}/rewards", f"{ROOT}/rewards", {"event_id": "doc", "kind": "click", "value": 0.5}, 200),
    ("post", "/v1/apps/{app}/rewards", f"{ROOT}/rewards", {"rewards": [{"event_id": "x", "kind": "click", "value": 1}, {}]}, 200),
    ("post", "/v1/apps/{app}/rewards", f"{ROOT}/rewards", {"event_id": "doc", "kind": "clikc", "value": 0.5}, 400),
    ("get", "/v1/apps/{app}/health", f"{ROOT}/health", None, 200), ("get", "/v1/apps/{app}/health", "/v1/apps/a/health", None, 404),
    ("get", "/v1/apps/{app}/releases", f"{ROOT}/releases", None, 200), ("get", "/openapi.json", None, None, 200),
]  # fmt: skip


def described(schema, found):
    """Raises ValidationError where an answer is not as documented."""
    whole = {"$ref": "#/schema", "schema": schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(found)


def test_the_document_is_openapi():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_is_documented_and_nothing_else():
    there = {
        (re.sub(r":path", "", each.path), method.lower())
        for each in application(Options(app="shop")).app.routes
        for method in each.methods - {"HEAD"}
    }
    assert there == {
        (path, method) for path, methods in DOCUMENT["paths"].items() for method in methods.keys() - {"parameters"}
    }


@pytest.mark.medium
def test_each_documented_path_answers_as_it_says(gateway):
    assert {(method, path) for method, path, *_ in CALLS} == {
        (method, path) for path, methods in DOCUMENT["paths"].items() for method in methods.keys() - {"parameters"}
    }
    for method, path, called, body, status in CALLS:
        found, answer = gateway.call(method.upper(), called or path, body)
        assert found == status, (path, answer)
        content = DOCUMENT["paths"][path][method]["responses"][str(status)].get("content")
        assert (content is None) == (answer is None)
        if content:
            ((_, media),) = content.items()
            described(media["schema"], answer)
        sent = DOCUMENT["paths"][path][method].get("requestBody")
        if body is not None and status < 300 and "requests" not in body and "rewards" not in body:
            described(sent["content"]["application/json"]["schema"], body)
    with pytest.raises(jsonschema.ValidationError):
        described({"$ref": "#/components/schemas/Selection"}, {"arm": "red"})


@pytest.mark.medium
def test_one_and_many_are_the_same_decisions_on_record(gateway):
    asked = {"unit_id": "u7", "context": {"hour": 3}, "arms": ["red", "blue"], "event_id": "one"}
    status, one = gateway.call("POST", f"{ROOT}/select", asked)
    assert (status, one["arms"], sum(one["pmf"])) == (200, ["red", "blue"], 1.0)
    rows = [asked, {"unit_id": "u8"}, {"unit_id": "u9", "context": {"devise": 1}}, {"unit_id": "u9", "extra": 1}, 7]
    status, many = gateway.call("POST", f"{ROOT}/select", {"requests": rows})
    first, second, *refused = many["selections"]
    assert (status, first) == (200, one), "a repeat"
    assert second["arms"] == list(ARMS), "arms left out are all"
    assert [each["error"].get("field") for each in refused] == ["context.devise", "extra", None]
    stored = decisions(gateway.var, ["one", second["event_id"]])
    assert {e: (d.arm, d.propensity) for e, d in stored.items()} == {
        each["event_id"]: (each["arm"], each["propensity"]) for each in (one, second)
    }
    reward = {"event_id": "one", "kind": "click", "value": 1.0}
    assert gateway.call("POST", f"{ROOT}/rewards", reward) == (200, {"status": "accepted"})
    rows = [reward, {**reward, "value": 9}, {**reward, "event_id": "later"}, {**reward, "at": "x"}, None]
    _, found = gateway.call("POST", f"{ROOT}/rewards", {"rewards": rows})
    duplicate, outside, later, untimed, nothing = found["outcomes"]
    assert (duplicate, later) == ({"status": "duplicate"}, {"status": "unknown_event"})
    assert [each["error"].get("field") for each in (outside, untimed, nothing)] == ["value", "at", None]


@pytest.mark.medium
def test_a_unit_that_is_left_out_is_said_to_be(gateway):
    said = "unit_id: found nothing, expected the id of whom it is decided for: a user, a session, an account"
    asked = {"select": {"context": {}}, "allocate": {"items": [{}], "options": ["red"], "total": 3}}
    for path, body in asked.items():
        for missing in ({}, {"unit_id": None}):
            status, found = gateway.call("POST", f"{ROOT}/{path}", body | missing)
            assert (status, found["field"], found["detail"]) == (400, "unit_id", said)
    found = gateway.call("POST", f"{ROOT}/select", {"requests": [{}, {"unit_id": "u"}]})[1]["selections"]
    assert (found[0]["error"]["detail"], "arm" in found[1]) == (said, True)


@pytest.mark.medium
@pytest.mark.parametrize(("path", "body", "field"), [
    ("select", {"requests": []}, "requests"), ("select", {"requests": [{}], "unit_id": "u"}, "requests"),
    ("select", {"requests": [{"unit_id": "u"}] * 1025}, "requests"), ("rewards", {"rewards": {}}, "rewards"),
    ("select", {}, "unit_id"), ("select", {"unit_id": None}, "unit_id"), ("select", {"unit_id": "u", "arms": "red"}, "arms"),
    ("select", {"unit_id": "u", "arms": {"red": 1}}, "arms"), ("select", {"unit_id": "u", "arms": []}, "arms"),
    ("select", {"unit_id": "u", "context": []}, "context"), ("select", {"unit_id": "u", "arm_context": 7}, "arm_context"),
    ("select", {"unit_id": "u", "arm_context": [{}]}, "arm_context"), ("select", {"unit_id": "u", "event_id": 7}, "event_id"),
    ("rewards", {}, "event_id"), ("rewards", {"event_id": "e", "kind": "click", "value": None}, "value"),
])  # fmt: skip
def test_a_wrong_call_is_a_problem_that_names_its_field(gateway, path, body, field):
    status, found = gateway.call("POST", f"{ROOT}/{path}", body)
    assert (status, found["status"], found["field"]) == (400, 400, field), found
