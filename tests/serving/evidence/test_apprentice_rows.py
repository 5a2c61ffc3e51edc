"""What the app chose by itself is no evidence of a candidate, and no head learns its reward."""

from dataclasses import replace

import polars as pl

from croupier.features.schema import APPRENTICE, CHAMPION, Decision
from croupier.serving.evidence import gather
from croupier.serving.learning.learning_scope import Scope

CHOSEN = Decision(
    event_id="e",
    at=5,
    unit_id="u",
    context={},
    arms=("a", "b"),
    pmf=(1.0, 0.0),
    arm="a",
    propensity=1.0,
    policy="uniform",
    role=APPRENTICE,
    release=3,
)


def test_rows_of_apprentice_mode_are_left_out():
    frame = pl.DataFrame([CHOSEN.to_row(), replace(CHOSEN, role=CHAMPION, event_id="f").to_row()])
    assert gather.by_policies(frame)["event_id"].to_list() == ["f"]


def test_no_head_learns_them():
    for scope in (Scope(frozenset({3})), Scope(frozenset({3}), since=0)):
        assert scope.holds(replace(CHOSEN, role=CHAMPION))
        assert not scope.holds(CHOSEN)
