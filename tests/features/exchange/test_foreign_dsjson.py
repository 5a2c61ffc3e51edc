"""DSJSON as others write it: VW's other spellings, other problem types, labels that are no observed costs."""

import orjson
import pytest

from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.sources import open_source


def line(**fields):
    return {
        "_label_cost": -1.0,
        "_label_probability": 0.8,
        "_labelIndex": 1,
        "EventId": "e",
        "Timestamp": "2026-01-01T00:00:00Z",
        "a": [2, 1],
        "p": [0.8, 0.2],
        "c": {"Context": {"x": 1}, "_multi": [{"_tag": "a"}, {"_tag": "b"}]},
        **fields,
    }


def source_of(tmp_path, *lines, head=b""):
    path = tmp_path / "log.dsjson"
    path.write_bytes(head + b"".join(orjson.dumps(x) + b"\n" for x in lines))
    return open_source(path, unit_key="k")


def only(source):
    (record,) = source.records()
    assert not source.skipped
    return record


def test_underscored_spellings(tmp_path):
    plain = line()
    plain |= {"_p": plain.pop("p"), "_a": plain.pop("a")}
    d = only(source_of(tmp_path, plain)).decision
    assert (d.arm, d.pmf, d.stage) == ("b", (0.2, 0.8), "")


@pytest.mark.parametrize("field", ["_label_cost", "_label_probability", "_original_label_cost"])
@pytest.mark.parametrize("value", [True, "1", None, [1]])
def test_a_label_that_is_no_number_is_counted(tmp_path, field, value):
    source = source_of(tmp_path, line(**{field: value}), line(EventId="sound"))
    assert [r.decision.event_id for r in source.records()] == ["sound"]
    assert source.skipped == {f"bad {field}": 1}


def test_a_tag_of_zero_is_a_tag(tmp_path):
    source = source_of(tmp_path, line(c={"_multi": [{"_tag": 0}, {"id": 0.5, "y": 1}]}))
    assert only(source).decision.arms == ("0", "0.5")


def test_a_bom_costs_no_line(tmp_path):
    assert only(source_of(tmp_path, line(), head=b"\xef\xbb\xbf")).decision.event_id == "e"


def test_a_leap_second_costs_no_line(tmp_path):
    assert only(source_of(tmp_path, line(Timestamp="2016-12-31T23:59:60.5Z"))).decision.at == 1483228800_500000


@pytest.mark.parametrize("spaces", [[None, {"y": 2}], [{"y": 2}, None], [None, None, {"y": 2}, None]])
def test_a_null_in_a_list_of_namespaces_hides_nothing(tmp_path, spaces):
    c = {"N": spaces, "_multi": [{"_tag": "a"}, {"_tag": "b"}]}
    assert only(source_of(tmp_path, line(c=c))).decision.context == {"N_y": 2}


@pytest.mark.parametrize("o", [5, [5, None], {"v": 1}, "x", None])
def test_observations_of_any_shape_end_no_file(tmp_path, o):
    assert only(source_of(tmp_path, line(o=o))).decision.arm == "b"


def test_a_list_of_nulls_is_no_feature(tmp_path):
    c = {"N": [None], "Context": {"x": [None, None], "z": 3}, "_multi": [{"_tag": "a"}, {"_tag": "b"}]}
    assert only(source_of(tmp_path, line(c=c))).decision.context == {"z": 3}


def test_one_line_is_counted_as_one(tmp_path):
    notes = source_of(tmp_path, {k: v for k, v in line(_label_cost=0).items() if k != "Timestamp"}).notes
    assert [note[:11] for note in notes if "lines" in note] == ["1 of 1 line", "1 of 1 line"]


def test_an_empty_list_is_no_feature_and_ends_no_init(tmp_path):
    c = {"Context": {"x": [], "z": 3}, "_multi": [{"_tag": "a", "w": []}, {"_tag": "b"}]}
    source = source_of(tmp_path, *(line(c=c, EventId=str(i)) for i in range(3)))
    assert {tuple(r.decision.context.items()) for r in source.records()} == {(("z", 3),)}
    assert guess_app(source).toml


def test_invented_times_are_said(tmp_path):
    source = source_of(tmp_path, line(), {k: v for k, v in line().items() if k != "Timestamp"})
    assert any(note.startswith("1 of 2 lines have no Timestamp") for note in source.notes)


def test_apprentice_lines_carry_the_observed_cost_elsewhere(tmp_path):
    """Four lines: the baseline's action was taken in two, rewards of 2, 0, 0.5 and 0 were observed."""
    observed, imitated = (2.0, 0.0, 0.5, 0.0), (1.0, 1.0, 0.0, 0.0)
    source = source_of(
        tmp_path,
        *(
            line(EventId=str(i), _label_cost=-m, _original_label_cost=-r)
            for i, (r, m) in enumerate(zip(observed, imitated, strict=True))
        ),
    )
    assert [sum(reward.value for reward in r.rewards) for r in source.records()] == list(observed)
    assert any(note.startswith("3 of 4 lines are of apprentice mode") for note in source.notes)


def test_an_online_line_with_both_costs_is_plain(tmp_path):
    source = source_of(tmp_path, line(_original_label_cost=-1.0))
    assert [reward.value for reward in only(source).rewards] == [1.0]
    assert not any("apprentice" in note for note in source.notes)


TWO = [{"_tag": "a"}, {"_tag": "b"}]


@pytest.mark.parametrize(("fields", "reason"), [
    ({"o": [{"EventId": "e", "v": {"click": 1}, "_definitely_bad": False}], "_original_label_cost": -0.5},
     "interaction-grounded learning (_definitely_bad): its costs are no observed rewards"),
    ({"c": {"_multi": [{"_slot_id": 0}, {"_slot_id": 1}], "_slots": [{}, {}]}},
     "slates (_slot_id): one reward for several slots at once, which croupier does not decide"),
    ({"_label_ca": {"action": 1.5, "cost": 0, "pdf_value": 0.1}},
     "continuous actions (_label_ca), which croupier does not decide"),
    ({"c": {"_multi": [{"_tag": "a"}, {"_tag": "shoe"}, {"_tag": "shoe"}]}}, "candidate shoe is listed twice"),
])  # fmt: skip
def test_what_is_no_decision_of_one_slot_is_named(tmp_path, fields, reason):
    source = source_of(tmp_path, line(**fields), line(EventId="sound"))
    assert [r.decision.event_id for r in source.records()] == ["sound"]
    assert source.skipped == {reason: 1}


def test_a_log_that_is_not_joined_yet_is_refused(tmp_path):
    """Decisions, and beside them what was observed of them: read as it is, no decision would have a reward."""
    decided = [{"_label_cost": 0.0, "_label_probability": 0.5, "_labelIndex": 0, "EventId": f"e{i}", "a": [1, 2], "p": [0.5, 0.5],
                "c": {"_multi": [{"_tag": "x"}, {"_tag": "y"}]}} for i in range(4)]  # fmt: skip
    path = tmp_path / "log.json"
    lines = [*decided, {"EventId": "e1", "v": 1.0, "Timestamp": "2026-03-01T10:00:00Z"}]
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    with pytest.raises(ValueError, match=r"found 1 observations .*this log is not joined"):
        open_source(path, unit_key="k")
    lines[0]["_label_cost"] = -1.0
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    assert len(list(open_source(path, unit_key="k").records())) == 4, "of a joined log a stray line is counted, as ever"
