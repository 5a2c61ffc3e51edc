"""What the gateway makes of Personalizer's calls, without a server: the same decisions as the embedded selector's."""

import shutil

import pytest

from croupier import Embedded
from croupier.features import clock
from croupier.features.log import deferred
from croupier.features.settings import Settings
from croupier.features.utc import HOUR, SECOND
from croupier.features.workspace import Workspace
from croupier.models.baselines import FixedArm
from croupier.serving.contract.requests import Raw
from croupier.serving.gateway.desk import Desk, kind_of_rewards
from croupier.serving.gateway.options import Options, address
from croupier.serving.gateway.problems import CallProblem
from tests.serving import apps
from tests.serving.embedded.shop import opened, publish
from tests.serving.gateway.door import ARMS, TOML, actions, declared, reward


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path)))
    found = Desk(Options(app="shop", deferred=3))
    yield found
    found.close()


def body(**changes):
    return {"actions": actions(*ARMS)} | changes


def logged(desk, *events):
    return desk.embedded.host.spool.find(events)


def refusal(desk, given):
    with pytest.raises(CallProblem) as found:
        desk.rank(given)
    assert 400 <= found.value.status < 500
    return found.value


@pytest.mark.medium
def test_answers_are_the_embedded_selectors_own(tmp_path, monkeypatch):
    """On a copy of the app with the same events: arm, propensity, pmf and role."""
    w = opened(tmp_path / "here")
    publish(w, apps.trained("neural_linear"), FixedArm(arm="reel-03"))
    w.spool().close()
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "here"))
    desk, other, spread = Desk(Options(app="shop")), Embedded("shop", var=tmp_path / "there"), set()
    features = {arm.arm_id: arm.features for arm in apps.sample().arms}
    for request in apps.sample().requests(60):
        listed = [
            {"id": arm, "features": [features[arm], pair]}
            for arm, pair in zip(request.arms, request.arm_context, strict=True)
        ]
        answer = desk.rank({"contextFeatures": [dict(request.context)], "actions": listed, "eventId": request.event_id})
        own = other.select(
            unit_id=request.event_id,
            context=request.context,
            arms=request.arms,
            arm_context=request.arm_context,
            event_id=request.event_id,
        )
        assert answer["rewardActionId"] == own.arm
        assert {r["id"]: r["probability"] for r in answer["ranking"]} == dict(zip(request.arms, own.pmf, strict=True))
        assert answer["ranking"][0] == {"id": own.arm, "probability": own.propensity}
        rest = [each["probability"] for each in answer["ranking"][1:]]
        assert rest == sorted(rest, reverse=True)
        (found,) = logged(desk, request.event_id).values()
        assert (found.arm, found.propensity, found.pmf, found.role) == (own.arm, own.propensity, own.pmf, own.role)
        assert found.arm_context == request.arm_context
        spread.add(round(own.propensity, 6))
    assert len(spread) > 10, "no uniform policy could pass for this"
    desk.close()
    other.close()


def test_nested_features_are_flattened_and_what_is_empty_is_none(desk):
    context = [{"device": {"type": "phone"}}, {"hour": 3, "x": None, "y": [], "z": {"a": None}}]
    desk.rank(body(eventId="e", contextFeatures=context))
    (found,) = logged(desk, "e").values()
    assert found.context == {"device.type": "phone", "hour": 3}


def test_a_pairs_feature_is_passed_on_and_the_arms_own_is_the_catalogues(desk):
    listed = [{"id": "red", "features": [{"colour": "red"}, {"affinity": 0.25}]}, {"id": "blue", "features": []}]
    desk.rank(body(eventId="e", actions=listed))
    (found,) = logged(desk, "e").values()
    assert (found.arms, found.arm_context) == (("red", "blue"), ({"affinity": 0.25}, {}))


@pytest.mark.parametrize(("given", "field", "says"), [
    ({"contextFeatures": [{"hour": 1}, {"hour": 2}]}, "contextFeatures.hour", "one value"),
    ({"contextFeatures": [{"devise": "x"}]}, "contextFeatures.devise", "declared feature"),
    ({"contextFeatures": [{"hour": "x"}]}, "contextFeatures.hour", "finite number"),
    ({"contextFeatures": {"hour": 1}}, "contextFeatures", "list of objects"),
    ({"contextFeatures": ["hour"]}, "contextFeatures[0]", "object"),
    ({"actions": [{"id": "pink"}]}, "actions[0].id", "croupier arm add ID --app shop"),
    ({"actions": [{"id": "red"}, {"id": "red"}]}, "actions[1].id", "each action once"),
    ({"actions": []}, "actions", "1 to 1000"), ({"actions": None}, "actions", "1 to 1000"),
    ({"actions": [{"id": "red", "features": [{"colour": "blue"}]}]}, "actions[0].features.colour", "the catalogue has it"),
    ({"actions": [{"id": "red", "features": [{"price": 1}]}]}, "actions[0].features.price", "--unknown-features ignore"),
    ({"actions": [{"id": "red"}, {"id": "blue", "features": [{"affinity": "x"}]}], "excludedActions": ["red"]},
     "actions[1].features.affinity", "finite number"),
    ({"excludedActions": list(ARMS)}, "excludedActions", "at least one action"), ({"excludedActions": "red"}, "excludedActions", "list"),
    ({"eventId": "x" * 257}, "eventId", "at most 256"), ({"eventId": "é" * 200}, "eventId", "256 bytes"),
    ({"eventId": "a\nb"}, "eventId", "printable"), ({"eventId": 7}, "eventId", "string"),
    ({"eventId": "croupier:canary"}, "eventId", "none of ours"), ({"deferActivation": 1}, "deferActivation", "true or false"),
    ({"slots": []}, "slots", "a field of a rank"),
])  # fmt: skip
def test_a_wrong_rank_is_refused_by_its_own_names(desk, given, field, says):
    found = refusal(desk, body(**given))
    assert (found.field, says in found.detail) == (field, True), found.detail
    assert desk.embedded.host.spool.counts()["decisions"] == 0


def test_an_event_stands_for_one_question(desk):
    first = desk.rank(body(eventId="e"))
    assert desk.rank(body(eventId="e")) == first
    assert refusal(desk, body(eventId="e", contextFeatures=[{"hour": 3}])).field == "eventId"


def test_what_is_ignored_is_counted_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path)))
    desk = Desk(Options(app="shop", unknown="ignore"))
    listed = [{"id": "red", "features": [{"colour": "blue", "price": 1, "affinity": 0.5}]}, {"id": "blue"}]
    for i in range(2):
        desk.rank({"actions": listed, "contextFeatures": [{"hour": 4, "devise": "x"}], "eventId": f"e{i}"})
    (found,) = logged(desk, "e1").values()
    assert (found.context, found.arm_context) == ({"hour": 4}, ({"affinity": 0.5}, {}))
    ignored = desk.health()[1]["worker"]["ignored_features"]
    assert ignored == {"contextFeatures.devise": 2, "actions.colour": 2, "actions.price": 2}
    desk.close()


def test_an_excluded_action_has_no_probability_and_comes_last(desk):
    answer = desk.rank(body(excludedActions=["red", "unheard-of"]))
    assert answer["ranking"][-1] == {"id": "red", "probability": 0.0}
    assert [r["probability"] for r in answer["ranking"][:2]] == pytest.approx([0.5, 0.5])
    assert answer["rewardActionId"] == answer["ranking"][0]["id"] != "red"


def test_a_deferred_decision_keeps_its_time_and_its_propensity(desk):
    with clock.at(10**15):
        answer = desk.rank(body(eventId="e", deferActivation=True))
    assert logged(desk, "e") == {}
    with clock.at(10**15 + 60 * SECOND):
        assert desk.rank(body(eventId="e", deferActivation=True)) == answer
        desk.activate("e")
        desk.activate("e")
    (found,) = logged(desk, "e").values()
    assert (found.at, found.arm) == (10**15, answer["rewardActionId"])
    assert found.propensity == answer["ranking"][0]["probability"]


def test_a_reward_or_the_same_rank_without_deferral_activates(desk):
    for event_id in ("paid", "shown"):
        desk.rank(body(eventId=event_id, deferActivation=True))
    reward(desk, "paid", {"value": 0.5}, "")
    desk.rank(body(eventId="shown"))
    assert logged(desk, "paid", "shown").keys() == {"paid", "shown"}
    assert desk.health()[1]["deferred"] == {"waiting": 0, "expired": 0}


def test_a_reward_that_is_refused_activates_nothing(desk):
    desk.rank(body(eventId="e", deferActivation=True))
    for value in (7.0, "x", None):
        with pytest.raises(CallProblem, match="value: found"):
            reward(desk, "e", {"value": value}, "")
    with pytest.raises(CallProblem, match="x-ms-client-request-id: found"):
        reward(desk, "e", {"value": 0.5}, "x" * 300)
    assert logged(desk, "e") == {}
    assert desk.embedded.host.spool.counts()["rewards"] == 0


def test_what_expires_is_forgotten_although_nobody_defers_any_more(desk):
    with clock.at(10**15):
        desk.rank(body(eventId="e", deferActivation=True))
    desk.expire()
    assert deferred.waiting(desk.embedded.host.spool) == 0


def test_a_log_that_fails_is_said_and_nothing_is_decided(desk):
    spool = desk.embedded.host.spool
    desk.rank(body(eventId="e"))
    spool.path.rename(spool.path.with_suffix(".moved"))
    spool.path.touch()
    calls = ((desk.rank, body()), (desk.rank, body(eventId="f")), (desk.rank, body(deferActivation=True)))
    calls += ((reward, desk, "e", {"value": 1}),)
    for work, *arguments in calls:
        with pytest.raises(CallProblem, match="log: ") as found:
            work(*arguments)
        assert found.value.status == 503
    desk.expire()  # tells, and raises nothing
    assert spool.find(["f"]) == {}


def test_deferred_decisions_are_bounded_by_number_and_by_age(desk):
    with clock.at(10**15):
        for i in range(3):
            desk.rank(body(eventId=f"e{i}", deferActivation=True))
        assert refusal(desk, body(eventId="e3", deferActivation=True)).status == 429
    last = 10**15 + 600 * SECOND + HOUR  # the reward window and an hour: [record] seconds
    with clock.at(last):
        desk.activate("e0")
    with clock.at(last + 1):
        with pytest.raises(CallProblem, match="activated within 4200 s"):
            desk.activate("e1")
        desk.rank(body(eventId="e3", deferActivation=True))
        assert desk.health()[1]["deferred"] == {"waiting": 1, "expired": 2}
    assert logged(desk, "e0", "e1", "e2", "e3").keys() == {"e0"}


@pytest.mark.parametrize("value", [True, "1", None, [1], 10**400, 7.0])
def test_a_reward_that_is_no_number_of_its_kind_is_refused(desk, value):
    desk.rank(body(eventId="e"))
    with pytest.raises(CallProblem, match="value: found"):
        reward(desk, "e", {"value": value}, "")
    reward(desk, "e", {"value": 0.5}, "")
    reward(desk, "e", {"value": 0.5}, "")
    assert desk.embedded.host.spool.counts()["rewards"] == 1, "one reward, sent twice"
    reward(desk, "e", {"value": 0.5}, "another-call")
    assert desk.embedded.host.spool.counts()["rewards"] == 2


@pytest.mark.medium
def test_its_health_says_that_no_decision_could_be_put_on_record(desk, tmp_path):
    spool, away = tmp_path / "shop" / "spool", tmp_path / "away"
    before = desk.embedded.host.spool.counts()
    assert (desk.health()[0], "error" in desk.health()[1]) == (True, False)
    assert desk.embedded.host.spool.counts() == before, "nothing is recorded to know it"
    spool.rename(away)
    well, found = desk.health()
    assert (well, found["well"]) == (False, False)
    assert found["error"].startswith(f"log: {spool}")
    assert CallProblem.of(desk.embedded.select_raw([Raw(b"u", b"{}", b'["red"]')])[0].error).status == 503
    away.rename(spool)
    assert desk.health()[1]["well"]
    assert desk.rank(body(eventId="e"))["eventId"] == "e"


@pytest.mark.parametrize(("kinds", "asked", "expected"), [
    ("", "", "click"), ("", "click", "click"), ("[reward.kinds.buy]\n", "buy", "buy"),
    ("[reward.kinds.buy]\n", "", r"found 2 kinds in app\.toml \(click, buy\)"), ("", "clikc", "found 'clikc', expected a kind"),
])  # fmt: skip
def test_one_kind_is_what_a_reward_is_of(tmp_path, monkeypatch, kinds, asked, expected):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path, toml=TOML + kinds)))
    if "found" in expected:
        with pytest.raises(ValueError, match=expected):
            Desk(Options(app="shop", reward_kind=asked))
    else:
        desk = Desk(Options(app="shop", reward_kind=asked))
        assert desk.reward_kind == expected
        desk.close()


def test_a_host_that_only_shares_the_store_must_be_told(tmp_path):
    w = Workspace(Settings(app="shop", var=tmp_path))
    with pytest.raises(ValueError, match=r"found no .*app\.toml, expected to be told"):
        kind_of_rewards(w, "")
    assert kind_of_rewards(w, "click") == "click"


@pytest.mark.parametrize("listen", ["127.0.0.1", ":80", "h:0", "h:65536", "h:x", "h:٣"])
def test_an_address_that_is_none_is_named(listen):
    with pytest.raises(ValueError, match="--listen: found"):
        address(listen)


def test_beyond_loopback_keys_are_asked_for(tmp_path):
    for listen in ("0.0.0.0:1", "192.0.2.1:1", "[::]:1", "host.example:1"):
        with pytest.raises(ValueError, match="without --keys"):
            Options.of(listen=listen, keys=None, app="shop")
        assert Options.of(listen=listen, keys=tmp_path / "k", app="shop").port == 1
    for listen in ("127.0.0.2:1", "[::1]:1", "localhost:1"):
        assert Options.of(listen=listen, keys=None, app="shop").port == 1
