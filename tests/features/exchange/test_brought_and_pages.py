"""What goes out comes in again: arms that requests brought along, tags and nested features, pages of several slots."""

import tomllib
from dataclasses import replace

import orjson
import polars as pl
import pytest

from croupier.features.exchange.coerce import DeclaredFeatures
from croupier.features.exchange.dsjson import export
from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.sources import open_source
from croupier.features.schema import Arm, Decision
from croupier.features.spec import AppSpec

UNIT = "0123456789abcdef0123456789abcdef"
ARMS = [Arm(arm_id="home", features={"about": {"genre": "none"}, "labels": ["old"]}), Arm(arm_id="b", features={})]
OWN = {"about.genre": "sport", "labels": ["new", "red"], "minutes": 4.0}
DECLARED = {
    "context": {"device.type": {"type": "categorical"}, "tags": {"type": "tags"}, "Slot_size": {"type": "categorical"},
                "Slot_place": {"type": "numeric"}},
    "arm": {"about.genre": {"type": "categorical"}, "labels": {"type": "tags"}, "minutes": {"type": "numeric"}},
    "arm_context": {"affinity": {"type": "numeric"}}, "arms": {"source": "both"},
}  # fmt: skip


def decision(i=0, **changed):
    return Decision(**{
        "event_id": f"e{i}", "at": 1_760_000_000_000_000 + i * 1_000_000, "unit_id": UNIT,
        "context": {"device.type": "tv", "tags": ["x", "y"]}, "arms": (f"n{i}", "home", "b"), "pmf": (0.5, 0.25, 0.25),
        "arm": f"n{i}", "propensity": 0.5, "policy": "p", "role": "champion", "release": 0,
        "arm_features": (OWN | {"minutes": float(i)}, None, None),
        "arm_context": ({"affinity": 0.5}, {}, {"affinity": 1.5}),
    } | changed)  # fmt: skip


def page(i, rewards=(0.0, 1.0, 0.0), **changed):
    """Three slots over what was left, as the gateway logs them."""
    arms, found = ["a", "b", "c", "d"], []
    for place, arm in enumerate(("b", "d", "a")):
        pmf = tuple(0.7 if a == arm else 0.3 / (len(arms) - 1) for a in arms)
        one = decision(
            i, event_id=f"page{i}/s{place}", arms=tuple(arms), arm=arm, propensity=0.7, pmf=pmf, arm_features=(), arm_context=(),
            context={"tags": ["x"], "Slot_size": ("big", "small")[place % 2], "Slot_place": place},
        )  # fmt: skip
        found.append((replace(one, **changed), rewards[place]))
        arms.remove(arm)
    return found


def frame(decisions, rewards=None):
    rewards = rewards or [1.0] * len(decisions)
    rows = [
        d.to_row() | {"reward": r, "reward_count": int(r != 0), "reward_at": d.at}
        for d, r in zip(decisions, rewards, strict=True)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def back(path):
    source = open_source(path, unit_key="k")
    found = list(source.records())
    assert not source.skipped
    declared = DeclaredFeatures(AppSpec.model_validate(DECLARED))
    return [declared.decision(r.decision) for r in found], source, found


@pytest.mark.parametrize("kind", ["dsjson", "parquet"])
def test_arms_that_were_brought_along_go_out_and_come_in_again(tmp_path, kind):
    decisions, path = [decision(i) for i in range(4)], tmp_path / f"log.{kind}"
    if kind == "parquet":
        frame(decisions).write_parquet(path)
    else:
        path.write_bytes(b"".join(export.export(frame(decisions), ARMS)))
    found, source, _ = back(path)
    strip = {"policy": "", "unit_id": "", "role": "champion", "stage": ""}
    assert [replace(d, **strip) for d in found] == [replace(d, **strip) for d in decisions]
    assert {a.arm_id for a in source.arms()} == {"home", "b"}, "what is brought along is in no catalogue"
    spec = AppSpec.model_validate(tomllib.loads(guess_app(source).toml))
    assert spec.arms.source == "both"
    seen = {name: feature.type for name, feature in spec.arm.items() if name != "arm_id"}
    assert seen.pop("minutes") == "numeric"
    # a table has no features of the catalogue's arms, so that the others are always alike in it, and left out
    assert seen == ({"about.genre": "categorical", "labels": "tags"} if kind == "dsjson" else {})


def test_a_row_whose_features_do_not_fit_its_candidates_is_counted(tmp_path):
    rows = frame([decision(0), decision(1)]).with_columns(arm_features=pl.Series(['[{"minutes":1}]', "[]"]))
    rows.write_parquet(tmp_path / "log.parquet")
    source = open_source(tmp_path / "log.parquet", unit_key="k")
    assert [r.decision.event_id for r in source.records()] == ["e1"]
    assert source.skipped == {"bad arm_features": 1}


def test_pages_of_several_slots_go_out_as_one_line_and_come_in_as_they_were(tmp_path):
    slots = [*page(0), *page(1), (decision(7, arm_features=(), arms=("a", "b", "c"), arm="a"), 1.0)]
    log = frame([d for d, _ in slots], [r for _, r in slots])
    path = tmp_path / "log.dsjson"
    path.write_bytes(b"".join(export.export(log, ARMS)))
    lines = [orjson.loads(text) for text in path.read_bytes().splitlines()]
    assert [line["EventId"] for line in lines] == ["page0", "page1", "e7"]
    assert [o["_a"] for o in lines[0]["_outcomes"]] == [[1, 0, 2, 3], [3, 0, 2], [0, 2]]
    assert [o["_label_cost"] for o in lines[0]["_outcomes"]] == [0.0, -1.0, 0.0]
    assert lines[0]["c"]["_slots"][1] == {"_id": "page0/s1", "size": "small"}
    found, _, records = back(path)
    assert [dict(zip(d.arms, d.pmf, strict=True)) for d in found] == [
        dict(zip(d.arms, d.pmf, strict=True)) for d, _ in slots
    ]
    for d, (sent, _) in zip(found, slots, strict=True):
        assert (d.event_id, d.arm, d.propensity, d.at, d.unit_id) == (
            sent.event_id,
            sent.arm,
            sent.propensity,
            sent.at,
            UNIT,
        )
        assert d.context == sent.context
    assert [sum(r.value for r in record.rewards) for record in records] == [r for _, r in slots]


@pytest.mark.parametrize("change", [
    {"context": {"tags": ["other"], "Slot_size": "big", "Slot_place": 1}},  # another context than its page's
    {"context": {"tags": ["x"], "Slot_size": "big", "Slot_place": 5}},  # a slot is missing
    {"arm_context": ({"affinity": 1.0}, {}, {})},  # an action is two things
])  # fmt: skip
def test_a_page_that_is_not_one_line_goes_out_as_decisions(tmp_path, change):
    slots = page(0)
    slots[1] = (replace(slots[1][0], **change), 1.0)
    lines = list(map(orjson.loads, export.export(frame([d for d, _ in slots], [r for _, r in slots]), ARMS)))
    assert [line["EventId"] for line in lines] == ["page0/s0", "page0/s1", "page0/s2"]


@pytest.mark.medium
def test_vw_trains_its_ccb_on_the_pages(tmp_path):
    import vowpalwabbit

    slots = [each for i in range(60) for each in page(i)]
    path = tmp_path / "log.dsjson"
    path.write_bytes(b"".join(export.export(frame([d for d, _ in slots], [r for _, r in slots]), ARMS)))
    vw = vowpalwabbit.Workspace(
        f"--dsjson --ccb_explore_adf --all_slots_loss --epsilon 0.1 -q :: --quiet --data {path}"
    )
    assert vw.get_weighted_examples() == 60
    assert vw.get_sum_loss() < 0
    vw.finish()
