"""Actions that are in no catalogue: Personalizer's callers bring them along, with their features, as they always did."""

import contextlib

import pytest

from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.problems import CallProblem
from tests.serving.gateway.door import ARMS, TOML, Gateway, actions, decisions, declared, joined, reward

NEWS = [
    {"id": "story-1", "features": [{"colour": "red"}, {"affinity": 0.5}]},
    {"id": "story-2", "features": [{"colour": "mauve"}]},
    {"id": "story-3", "features": []},
    {"id": "story-4"},
]


def desk_of(tmp_path, monkeypatch, source, **options):
    toml = TOML + f'[arms]\nsource = "{source}"\n'
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path, toml=toml, arms={} if source == "request" else ARMS)))
    return contextlib.closing(Desk(Options(app="shop", **options)))


def refusal(desk, body):
    with pytest.raises(CallProblem) as found:
        desk.rank(body)
    assert found.value.status == 400
    return found.value


@pytest.mark.medium
@pytest.mark.parametrize("source", ["both", "request"])
def test_they_are_ranked_recorded_and_rewarded(tmp_path, monkeypatch, source):
    with desk_of(tmp_path, monkeypatch, source) as desk:
        answer = desk.rank({"actions": NEWS, "eventId": "e", "excludedActions": ["story-3"]})
        shares = {one["id"]: one["probability"] for one in answer["ranking"]}
        assert shares == {
            "story-1": pytest.approx(1 / 3),
            "story-2": pytest.approx(1 / 3),
            "story-4": pytest.approx(1 / 3),
            "story-3": 0.0,
        }
        assert answer["ranking"][0]["id"] == answer["rewardActionId"] != "story-3"
        logged = desk.embedded.host.spool.find(["e"])["e"]
        assert logged.arms == ("story-1", "story-2", "story-4")
        assert logged.arm_features == ({"colour": "red"}, {"colour": "mauve"}, {})
        assert logged.arm_context == ({"affinity": 0.5}, {}, {})
        reward(desk, "e", {"value": 1}, "")
        assert desk.health()[0]
        assert desk.rank({"actions": NEWS, "eventId": "e", "excludedActions": ["story-3"]}) == answer
    found, _ = joined(tmp_path)
    assert (found["e"]["arm"], found["e"]["reward"]) == (answer["rewardActionId"], 1.0)


@pytest.mark.medium
def test_beside_arms_of_the_catalogue_theirs_is_the_catalogues_value(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch, "both") as desk:
        desk.rank({"actions": [*actions("red", "blue"), NEWS[0]], "eventId": "e"})
        logged = desk.embedded.host.spool.find(["e"])["e"]
        assert (logged.arms, logged.arm_features) == (("red", "blue", "story-1"), (None, None, {"colour": "red"}))
        wrong = {"id": "red", "features": [{"colour": "blue"}]}
        assert refusal(desk, {"actions": [wrong, NEWS[0]]}).field == "actions[0].features.colour"


@pytest.mark.medium
def test_what_is_wrong_with_one_is_said_by_its_place(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch, "both") as desk:
        for action, field in (
            ({"id": "x", "features": [{"weight": 3}]}, "actions[1].features.weight"),
            ({"id": "x", "features": [{"colour": ["red", "blue"]}]}, "actions[1].features.colour"),
            ({"id": "x", "features": [{"affinity": "much"}]}, "actions[1].features.affinity"),
            ({"id": "x" * 300}, "actions[1].id"),
            ({"id": "x\n"}, "actions[1].id"),
        ):
            said = refusal(desk, {"actions": [NEWS[0], action]})
            assert said.field == field, said
        assert "[arm] or [arm_context] of app.toml (affinity, colour)" in str(
            refusal(desk, {"actions": [{"id": "x", "features": [{"w": 1}]}]})
        )


@pytest.mark.medium
def test_undeclared_features_may_be_counted_and_left_out(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch, "both", unknown="ignore") as desk:
        desk.rank({"actions": [{"id": "x", "features": [{"weight": 3, "colour": "red"}]}], "eventId": "e"})
        assert desk.embedded.host.spool.find(["e"])["e"].arm_features == ({"colour": "red"},)
        assert desk.rule.counted() == {"actions.weight": 1}


@pytest.mark.medium
def test_the_slots_of_a_page_share_them(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch, "request") as desk:
        answer = desk.multislot({"actions": NEWS, "slots": [{"id": "a"}, {"id": "b"}], "eventId": "p"})
        shown = [slot["rewardActionId"] for slot in answer["slots"]]
        logged = desk.embedded.host.spool.find(["p/a", "p/b"])
        assert set(logged["p/b"].arms) == {action["id"] for action in NEWS} - {shown[0]}
        assert (logged["p/a"].propensity, logged["p/b"].propensity) == (0.25, pytest.approx(1 / 3))


@pytest.mark.medium
def test_where_only_the_catalogue_is_asked_they_are_refused_as_before(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch, "catalogue") as desk:
        said = refusal(desk, {"actions": NEWS})
        assert (said.field, "[arms] source" in str(said)) == ("actions[0].id", True)


@pytest.mark.medium
def test_over_http_by_both_doors(tmp_path):
    """Personalizer's rank and our select, at a real gateway."""
    var = declared(tmp_path, toml=TOML + '[arms]\nsource = "both"\n')
    with Gateway(var) as gateway:
        status, ranked = gateway.rank(actions=NEWS, eventId="theirs")
        assert (status, {one["id"] for one in ranked["ranking"]}) == (201, {action["id"] for action in NEWS})
        asked = {"unit_id": "u", "event_id": "ours", "arms": ["red", {"id": "story-1", "features": {"colour": "red"}}]}
        status, chosen = gateway.call("POST", "/v1/apps/shop/select", asked)
        assert (status, chosen["arms"], chosen["pmf"]) == (200, ["red", "story-1"], [0.5, 0.5])
        wrong = asked | {"event_id": "", "arms": [{"id": "x", "features": {"shape": 1}}]}
        status, said = gateway.call("POST", "/v1/apps/shop/select", wrong)
        assert (status, said["field"]) == (400, "arms[0].features.shape")
    logged = decisions(var, ["theirs", "ours"])
    assert logged["ours"].arm_features == (None, {"colour": "red"})
    assert logged["theirs"].arms == tuple(action["id"] for action in NEWS)
