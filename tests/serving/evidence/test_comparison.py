"""Who is compared with whom, counted by hand."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from croupier.features.ids import uniform01
from croupier.models.baselines import FixedArm
from croupier.serving.evidence import comparison
from croupier.serving.release import rollout_store


@pytest.fixture
def seen(house):
    """(the house, its state, its matured decisions) of a candidate at 50 %."""
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0))
    h.visits(200, units=60)
    state = rollout_store.read_state(h.store)
    h.look()
    return h, state, comparison.decisions(h.store, h.spec.reward, state, now=h.now)


def test_assigned_is_who_the_hash_says_at_the_share_of_the_stage(seen):
    h, state, frame = seen
    rows = comparison.compared(frame, state, h.selector.release)
    by_hand = [uniform01(state.salt, unit) < 0.5 for unit in frame["unit_id"]]
    assert rows.assigned.tolist() == by_hand
    assert rows.assigned[(frame["role"] == "candidate").to_numpy()].all()
    assert rows.share.tolist() == [0.5] * 200
    assert len(rows) == len(rows.log.reward) == 200
    assert frame["at"].is_sorted()
    assert comparison.places(frame["unit_id"], state.salt).tolist() == [
        uniform01(state.salt, u) for u in frame["unit_id"]
    ]


def test_decisions_are_those_since_the_rollout_began_and_no_others(seen):
    h, state, frame = seen
    third = frame["at"].unique().sort()[2]
    later = replace(state, history=({**state.history[0], "at": third},))
    found = comparison.decisions(h.store, h.spec.reward, later, now=h.now)
    assert found["event_id"].to_list() == frame.filter(pl.col("at") >= third)["event_id"].to_list()
    assert 0 < len(found) < len(frame)
    carried = replace(state, release=state.release + 1, continues=(state.release,))
    assert len(comparison.decisions(h.store, h.spec.reward, carried, now=h.now)) == len(frame)
    assert len(comparison.decisions(h.store, h.spec.reward, replace(state, release=7), now=h.now)) == 0


def test_what_only_one_side_served_is_not_compared(seen):
    h, state, frame = seen
    stages = pl.Series("stage", ["none", "100%", "shadow", "aborted", "5%"] * 40)
    rows = comparison.compared(frame.with_columns(stages), state, h.selector.release)
    assert set(rows.frame["stage"]) == {"5%"}
    assert rows.share.tolist() == [0.05] * 40
    assert comparison.compared(frame.with_columns(stage=pl.lit("100%")), state, h.selector.release) is None


def test_units_are_counted_once_at_the_stage_where_they_came_first(seen):
    h, state, frame = seen
    stages = pl.Series("stage", ["5%"] * 80 + ["50%"] * 120)
    rows = comparison.compared(frame.with_columns(stages), state, h.selector.release)
    found = comparison.unit_counts(rows)
    assert list(found) == ["5%", "50%"]
    earlier = set(frame[:80]["unit_id"])
    assert earlier & set(frame[80:]["unit_id"]), "some come again"
    for stage, share, part, before in (("5%", 0.05, frame[:80], set()), ("50%", 0.5, frame[80:], earlier)):
        units = set(part["unit_id"]) - before
        mine = sum(uniform01(state.salt, unit) < share for unit in units)
        assert found[stage] == (mine, len(units) - mine, share)
        assert len(units) < len(part)


def test_failed_is_what_another_than_the_assigned_had_to_answer(seen):
    h, state, frame = seen
    rows = comparison.compared(frame, state, h.selector.release)
    own = pl.Series("role", np.where(rows.assigned, "candidate", "champion"))  # a busy machine may have made fallbacks
    assert not comparison.failed(replace(rows, frame=frame.with_columns(own))).any()
    for role, expected in (("fallback", True), ("champion", rows.assigned), ("candidate", False), ("holdout", False)):
        changed = replace(rows, frame=frame.with_columns(role=pl.lit(role)))
        assert comparison.failed(changed).tolist() == np.broadcast_to(expected, 200).tolist()
    turned = replace(rows, turned=True, frame=frame.with_columns(role=pl.lit("champion")))
    assert comparison.failed(turned).tolist() == (~rows.assigned).tolist()
