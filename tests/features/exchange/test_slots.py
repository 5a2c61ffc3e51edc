"""Lines of several slots (VW's CCB, Personalizer's multi-slot): each slot is a decision with its own exact propensity."""

import tomllib

import orjson
import pytest

from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.sources import open_source
from croupier.features.spec import AppSpec

TOPICS = ("ski", "herbs", "toys", "city", "robots")


def outcome(i, cost, left, p):
    return {"_label_cost": cost, "_id": f"slot-{i}", "_a": left, "_p": p, "_o": [{"v": -cost, "ActionTaken": False}]}


def line(**fields):
    """A line as rlclientlib writes it: three slots over five actions, no EventId of its own."""
    return {
        "Timestamp": "2019-09-10T14:43:37.2010000Z", "Version": "1",
        "c": {"GUser": {"id": "mk", "hobby": "kids"}, "_multi": [{"TAction": {"topic": topic}, "_tag": topic} for topic in TOPICS],
              "_slots": [{"_id": "slot-0", "size": "big"}, {"_id": "slot-1", "size": "small"}, {"_id": "slot-2"}]},
        "_outcomes": [
            outcome(0, 0.0, [1, 4, 0, 2, 3], [0.84, 0.04, 0.04, 0.04, 0.04]),
            outcome(1, -1.0, [4, 0, 3, 2], [0.85, 0.05, 0.05, 0.05]),
            outcome(2, 0.0, [0, 3, 2], [0.8666667, 0.06666667, 0.06666667]),
        ],
        "VWState": {"m": "m"}, **fields,
    }  # fmt: skip


def source_of(tmp_path, *lines):
    path = tmp_path / "log.dsjson"
    path.write_bytes(b"".join(orjson.dumps(x) + b"\n" for x in lines))
    return open_source(path, unit_key="k")


def test_each_slot_is_a_decision_over_what_was_left(tmp_path):
    source = source_of(tmp_path, line())
    records = list(source.records())
    assert not source.skipped
    decisions = [r.decision for r in records]
    assert [d.event_id for d in decisions] == ["slot-0", "slot-1", "slot-2"]
    assert [d.arm for d in decisions] == ["herbs", "robots", "ski"]
    assert [d.propensity for d in decisions] == pytest.approx([0.84, 0.85, 0.8666667], abs=1e-6)
    left = [list(TOPICS), ["ski", "toys", "city", "robots"], ["ski", "toys", "city"]]
    assert [list(d.arms) for d in decisions] == left, (
        "in the order of c._multi: the shown one first would tell the draw"
    )
    at_arm = [dict(zip(d.arms, d.pmf, strict=True))[d.arm] for d in decisions]
    assert at_arm == pytest.approx([d.propensity for d in decisions], abs=1e-6)
    assert decisions[1].pmf[decisions[1].arms.index("ski")] == pytest.approx(0.05)
    assert all(sum(d.pmf) == pytest.approx(1.0, abs=1e-6) for d in decisions)
    assert [[r.value for r in record.rewards] for record in records] == [[], [1.0], []]
    assert [d.context for d in decisions] == [
        {"GUser_id": "mk", "GUser_hobby": "kids", "Slot_size": "big", "Slot_place": 0},
        {"GUser_id": "mk", "GUser_hobby": "kids", "Slot_size": "small", "Slot_place": 1},
        {"GUser_id": "mk", "GUser_hobby": "kids", "Slot_place": 2},
    ]
    assert len({d.unit_id for d in decisions}) == 1, "what is shown together is no independent evidence"
    assert sum("1 lines have several slots" in note for note in source.notes) == 1
    assert len(set(source.notes)) == len(source.notes)


def test_lines_of_one_and_of_several_slots_stand_beside_each_other(tmp_path):
    one = {"_label_cost": -1.0, "_label_probability": 0.8, "_labelIndex": 1, "EventId": "e", "a": [2, 1], "p": [0.8, 0.2],
           "c": {"_multi": [{"_tag": "ski"}, {"_tag": "toys"}]}}  # fmt: skip
    source = source_of(tmp_path, one, line(), one | {"EventId": "f"})
    assert [r.decision.event_id for r in source.records()] == ["e", "slot-0", "slot-1", "slot-2", "f"]
    assert "Slot_place" in AppSpec.model_validate(tomllib.loads(guess_app(source).toml)).context


def test_slots_without_ids_are_named_by_their_line(tmp_path):
    bare = [{k: v for k, v in o.items() if k != "_id"} for o in line()["_outcomes"]]
    context = line()["c"]
    source = source_of(tmp_path, line(EventId="page", _outcomes=bare, c=context | {"_slots": [{}, {}, {}]}))
    assert [r.decision.event_id for r in source.records()] == ["page/0", "page/1", "page/2"]


def test_a_slot_that_was_never_shown_is_no_event(tmp_path):
    given = line()["_outcomes"]
    source = source_of(tmp_path, line(_outcomes=[given[0], given[1] | {"_skipLearn": True}, given[2]]))
    assert [r.decision.event_id for r in source.records()] == ["slot-0", "slot-2"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"_outcomes": None}, "bad _outcomes"),
        ({"_outcomes": line()["_outcomes"][:2]}, "bad _outcomes"),
        ({"_outcomes": [outcome(0, 0, [7, 1], [0.5, 0.5])] * 3}, "bad _a"),
        ({"_outcomes": [outcome(0, 0, [1, 2], [1.0])] * 3}, "bad _a"),
        ({"_outcomes": [outcome(0, 0, [], [])] * 3}, "bad _a"),
        ({"_outcomes": [outcome(0, 0, [True, 2], [0.5, 0.5])] * 3}, "bad _a"),
        ({"_outcomes": ["x", "y", "z"]}, "bad _outcomes"),
    ],
)
def test_slots_that_do_not_fit_are_counted_and_what_is_sound_goes_on(tmp_path, fields, reason):
    source = source_of(tmp_path, line(**fields), line())
    assert [r.decision.event_id for r in source.records()] == ["slot-0", "slot-1", "slot-2"]
    assert source.skipped == {reason: 1}


def test_a_probability_that_is_none_costs_its_slot_alone(tmp_path):
    given = line()["_outcomes"]
    source = source_of(tmp_path, line(_outcomes=[given[0], given[1] | {"_p": [0.9, 0.9, 0.0, 0.0]}, given[2]]))
    assert [r.decision.event_id for r in source.records()] == ["slot-0", "slot-2"]
    assert source.skipped == {"bad pmf": 1}


def test_slots_of_the_same_names_are_told_apart_by_their_page(tmp_path):
    """As Personalizer's owners name them: `top` and `side`, on every page."""
    source = source_of(tmp_path, *(line(EventId=f"page-{i}") for i in range(20)))
    assert [r.decision.event_id for r in source.records()] == [
        f"page-{i}/slot-{k}" for i in range(20) for k in range(3)
    ]
    rewarded = [(reward.event_id, reward.value) for r in source.records() for reward in r.rewards]
    assert rewarded == [(f"page-{i}/slot-1", 1.0) for i in range(20)]
    assert len({r.decision.unit_id for r in source.records()}) == 20
