"""DSJSON in and out: exact round trips, VW trains on what we write, and what cannot be used is counted by reason."""

import orjson
import polars as pl
import pytest

from croupier.features.exchange.dsjson import export
from croupier.features.exchange.dsjson.reader import DsjsonSource
from croupier.features.exchange.sources import open_source
from croupier.features.schema import Decision
from croupier.features.worlds.reels import World

WORLD = World(seed=6)  # that of tests/features/conftest.py


def test_what_we_export_we_import(ours, exported):
    source = open_source(exported, unit_key="k")
    records = list(source.records())
    assert [r.decision for r in records] == [Decision.from_row(row) for row in ours.iter_rows(named=True)]
    rewards = {r.decision.event_id: reward.value for r in records for reward in r.rewards}
    assert rewards == dict(ours.filter(pl.col("reward") != 0).select("event_id", "reward").iter_rows())
    features = {a.arm_id: a.features for a in WORLD.arms()}
    assert {a.arm_id: a.features for a in source.arms()} == {k: features[k] for k in {a.arm_id for a in source.arms()}}
    assert not source.skipped


def test_vw_trains_on_it_unchanged(exported, ours, tmp_path):
    import vowpalwabbit

    options = "--dsjson --cb_explore_adf --epsilon 0.1 -q CA -q CP --quiet"
    from_file = vowpalwabbit.Workspace(f"{options} --data {exported} -f {tmp_path / 'm.vw'}")
    assert from_file.get_weighted_examples() == len(ours)
    uniform = -ours["reward"].sum()  # its loss, were every arm as likely as logged
    assert from_file.get_sum_loss() < 1.2 * uniform  # progressive IPS loss: it learns
    from_file.finish()
    lines = [orjson.loads(text) for text in exported.read_bytes().splitlines()]
    path = write_lines(tmp_path / "bare.json", [{k: v for k, v in x.items() if k != "Croupier"} for x in lines])
    bare = vowpalwabbit.Workspace(f"{options} --data {path}")  # and our own key beside VW's changes nothing
    assert bare.get_sum_loss() == pytest.approx(from_file.get_sum_loss(), rel=1e-6)
    bare.finish()


def personalizer(i, *, chosen=1, cost=-1.0, extra=None):
    """A line as rlclientlib writes it: nested namespaces, no tags."""
    actions = [{"TAction": {"topic": t}, "price": {"now": 1.0 + i}} for t in ("sports", "news", "art")]
    order = [chosen + 1, *(k + 1 for k in range(3) if k != chosen)]
    return {
        "_label_cost": cost,
        "_label_probability": 0.8,
        "_label_Action": chosen + 1,
        "_labelIndex": chosen,
        "EventId": f"e{i}",
        "Timestamp": f"2020-01-01T00:00:{i:02d}.1234567Z",
        "a": order,
        "p": [0.8, 0.1, 0.1],
        "c": {"GUser": {"major": "math", "hobby": ["a"]}, "_multi": actions},
        "pdrop": 0.5,
        **(extra or {}),
    }


def write_lines(path, lines):
    path.write_bytes(b"".join(line if isinstance(line, bytes) else orjson.dumps(line) + b"\n" for line in lines))
    return path


def test_a_foreign_dsjson_log(tmp_path):
    path = write_lines(tmp_path / "x.json", [personalizer(0), personalizer(1, cost=0.0)])
    source = DsjsonSource(path, unit_key="k")
    assert sorted(a.features["TAction_topic"] for a in source.arms()) == ["art"] * 2 + ["news"] * 2 + ["sports"] * 2
    # prices differ, so the digests do: two times three arms. With an id they are three, and the price is the pair's
    lines = [personalizer(i) for i in range(2)]
    for line in lines:
        for action in line["c"]["_multi"]:
            action["id"] = action["TAction"]["topic"]
    source = DsjsonSource(write_lines(path, lines), unit_key="k")
    assert {a.arm_id: a.features for a in source.arms()}["news"] == {"TAction_topic": "news"}
    first = next(iter(source.records())).decision
    assert first.arms == ("sports", "news", "art")
    assert (first.arm, first.propensity, first.pmf) == ("news", 0.8, (0.1, 0.8, 0.1))
    assert first.context == {"GUser_major": "math", "GUser_hobby": ["a"]}
    assert first.arm_context == ({"price_now": 1.0},) * 3
    assert first.pass_probability == 0.5
    assert first.at == 1577836800123456


def test_unusable_lines_are_counted_by_reason(tmp_path):
    lines = [
        personalizer(0), b"{oops\n", {"EventId": "e0", "RewardValue": 1}, personalizer(2, extra={"_skipLearn": True}),
        personalizer(3, extra={"_label_probability": 0.0}), personalizer(4, extra={"p": [0.8, 0.8, 0.1]}),
        personalizer(5, extra={"_label_cost": float("inf")} ), b"\n",
        *(personalizer(i, extra={"Timestamp": said}) for i, said in enumerate(("yesterday", [1], {"a": 1}), 6)),
    ]  # fmt: skip
    lines[6] = orjson.dumps(lines[6]).replace(b'"_label_cost":null', b'"_label_cost":"x"') + b"\n"
    source = DsjsonSource(write_lines(tmp_path / "x.json", lines), unit_key="k")
    assert len(list(source.records())) == 1
    assert source.skipped == {
        "not JSON": 1,
        "no c._multi (an observation, or another problem type)": 1,
        "_skipLearn": 1,
        "bad propensity": 1,
        "bad pmf": 1,
        "bad _label_cost": 1,
        "bad Timestamp": 3,
    }


def test_names_vw_would_swallow_are_refused(ours):
    hidden = ours[:1].with_columns(context=pl.lit('{"_age": 1}'))
    with pytest.raises(ValueError, match="underscore"):
        list(export.export(hidden, WORLD.arms()))
