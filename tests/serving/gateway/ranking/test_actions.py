"""A list of actions that comes again is read once, and is what it is when it is read anew."""

import contextlib
import re

import pytest

from croupier.features.schema import InvalidEvent
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.problems import CallProblem
from croupier.serving.gateway.ranking import actions as reading
from tests.serving.gateway.door import ARMS, TOML, actions, declared

BROUGHT = [
    {"id": "red", "features": [{"colour": "red"}, {"affinity": 0.5}]},
    {"id": "story", "features": [{"colour": "mauve"}, {"affinity": None}]},
    {"id": "plain"},
]


@contextlib.contextmanager
def desk_of(tmp_path, monkeypatch, more="", **options):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path, toml=TOML + more)))
    with contextlib.closing(Desk(Options(app="shop", **options))) as desk:
        yield desk


@pytest.fixture
def anew(monkeypatch):
    """How often a list was read, and not known."""
    found, read = [], reading._read
    monkeypatch.setattr(reading, "_read", lambda *args, **more: found.append(args[0]) or read(*args, **more))
    return found


def test_from_the_third_time_on_a_list_is_known_and_is_the_same(tmp_path, monkeypatch, anew):
    bodies = [{"actions": BROUGHT, "excludedActions": ["plain"], "eventId": f"e{i}"} for i in range(4)]
    with desk_of(tmp_path, monkeypatch, '[arms]\nsource = "both"\n') as desk:
        answers = [desk.rank(body) for body in bodies]
        rows = [desk.embedded.host.spool.find([body["eventId"]])[body["eventId"]] for body in bodies]
    assert len(anew) == 2, "the first time and the second"
    for answer, row in zip(answers, rows, strict=True):
        assert (row.arms, row.arm_features) == (("red", "story"), (None, {"colour": "mauve"}))
        assert row.arm_context == ({"affinity": 0.5}, {})
        shares = [(each["id"], each["probability"]) for each in answer["ranking"]]
        assert shares[0] == (answer["rewardActionId"], row.propensity) == (row.arm, 0.5)
        assert shares[-1] == ("plain", 0.0)


def test_another_exclusion_order_or_value_is_another_list(tmp_path, monkeypatch):
    asked = [
        {"actions": BROUGHT},
        {"actions": BROUGHT[::-1]},
        {"actions": BROUGHT, "excludedActions": ["red"]},
        {"actions": [BROUGHT[0], BROUGHT[1] | {"features": [{"colour": "blue"}]}, BROUGHT[2]]},
    ]
    with desk_of(tmp_path, monkeypatch, '[arms]\nsource = "both"\n') as desk:
        for turn in range(3):  # in turn, so that each is known when another comes
            for i, body in enumerate(asked):
                desk.rank(body | {"eventId": f"{turn}-{i}"})
        rows = desk.embedded.host.spool.find([f"2-{i}" for i in range(4)])
    assert [rows[f"2-{i}"].arms for i in range(4)] == [
        ("red", "story", "plain"), ("plain", "story", "red"), ("story", "plain"), ("red", "story", "plain"),
    ]  # fmt: skip
    assert rows["2-3"].arm_features == (None, {"colour": "blue"}, {})


def test_a_refused_list_is_refused_each_time(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch) as desk:
        for _ in range(4):
            with pytest.raises(CallProblem, match=re.escape("actions[0].features.colour: found 'blue'")):
                desk.rank({"actions": [{"id": "red", "features": [{"colour": "blue"}]}]})
            with pytest.raises(CallProblem, match=re.escape("actions[1].features.affinity: found 'x'")):
                desk.rank({"actions": [{"id": "red"}, {"id": "blue", "features": [{"affinity": "x"}]}]})


def test_what_is_ignored_is_counted_each_time(tmp_path, monkeypatch, anew):
    with desk_of(tmp_path, monkeypatch, unknown="ignore") as desk:
        for _ in range(4):
            desk.rank({"actions": [{"id": "red", "features": [{"price": 1}]}, {"id": "blue"}]})
        assert desk.health()[1]["worker"]["ignored_features"] == {"actions.price": 4}
    assert len(anew) == 4


def test_what_the_app_leaves_out_is_counted_in_its_log_each_time(tmp_path, monkeypatch):
    rule = '[requests]\nunknown_features = "ignore_and_count"\n'
    with desk_of(tmp_path, monkeypatch, rule) as desk:
        met = []
        for _ in range(4):
            desk.rank({"actions": [{"id": "red", "features": [{"price": 1}]}, {"id": "blue"}]})
            met.append(desk.rule.met)
        assert met == [1, 2, 3, 4]


def test_what_is_too_deep_for_json_is_refused_by_name(tmp_path, monkeypatch):
    deep = value = []
    for _ in range(300):
        value.append([])
        value = value[0]
    with desk_of(tmp_path, monkeypatch) as desk, pytest.raises(CallProblem) as found:
        desk.rank({"actions": [{"id": "red", "features": [{"affinity": deep}]}, *actions("blue")]})
    assert (found.value.status, found.value.field) == (400, "actions")


def test_a_release_has_lists_of_its_own(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch) as desk:
        one = desk.known()
        for _ in range(3):
            desk.rank({"actions": actions(*ARMS)})
        raw = reading._bytes(actions(*ARMS), None)
        assert one.lists.get(raw).names == tuple(ARMS)
        desk._known = type(one).of(desk.embedded.host.selector.release)
        assert desk.known().lists.get(raw) is None


def test_json_that_no_bytes_can_be_made_of_is_never_known(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch) as desk:
        assert reading._bytes({1: object()}, None) == b""
        with pytest.raises(InvalidEvent):
            reading.read([{"id": "red", "features": [object()]}], None, desk.known(), desk.rule, app="shop")
