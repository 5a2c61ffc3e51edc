"""The contract: what goes to a row comes back, and what breaks it names its field."""

import math

import polars as pl
import pytest

from croupier.features.arrow import DECISIONS, INTERACTIONS, REWARDS
from croupier.features.log.ship import to_table
from croupier.features.schema import OPEN_ENDED, Decision, InvalidEvent, Reward

FULL = Decision(
    event_id="e",
    at=1,
    unit_id="u",
    context={"b": [1.0, 2.5], "a": "ü\n|"},
    arms=("x", "y"),
    pmf=(0.1, 0.9),
    arm="y",
    propensity=0.9,
    policy="p",
    role="candidate",
    release=4,
    stage="20%",
    arm_context=({"k": 1}, {}),
    catalogue="c",
    encoder="n",
    posterior_step=9,
    fallback_reason="",
    pass_probability=0.25,
    took_us=812,
    arm_features=(None, {"colour": "red"}),
)


def test_a_decision_survives_the_row():
    row = FULL.to_row()
    assert set(row) == set(DECISIONS.names)
    assert row["context"] == '{"a":"ü\\n|","b":[1.0,2.5]}'
    assert Decision.from_row(row) == FULL


def test_a_decision_survives_arrow_and_polars():
    row = FULL.to_row()
    open_ended = {name: getattr(FULL, name) for name in OPEN_ENDED}
    table = to_table([row | open_ended], DECISIONS)
    (back,) = pl.from_arrow(table).to_dicts()
    assert Decision.from_row(back) == FULL


def test_rows_of_before_there_were_inline_arms_have_none():
    row = FULL.to_row()
    del row["arm_features"]
    assert Decision.from_row(row).arm_features == ()


def test_unknown_columns_are_left_alone():
    assert Decision.from_row(FULL.to_row() | {"reward": 1.0, "added_later": 2}) == FULL


def test_schemas_extend_each_other_and_carry_their_version():
    assert INTERACTIONS.names[: len(DECISIONS.names)] == DECISIONS.names
    assert {s.metadata[b"croupier.schema"] for s in (DECISIONS, REWARDS, INTERACTIONS)} == {b"1"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"event_id": ""}, "event_id"), ({"event_id": 5}, "event_id"), ({"kind": ""}, "kind"), ({"kind": None}, "kind"),
        ({"value": math.nan}, "value"), ({"value": -math.inf}, "value"), ({"value": "1"}, "value"),
        ({"value": True}, "value"), ({"value": None}, "value"),
    ],
)  # fmt: skip
def test_a_malformed_reward_is_refused_and_never_zero(changes, field):
    with pytest.raises(InvalidEvent, match=f"^{field}: found .*, expected") as caught:
        Reward(**({"event_id": "e", "at": 1, "kind": "click", "value": 1.0} | changes))
    assert caught.value.field == field


def test_long_values_are_cut_in_messages():
    message = str(InvalidEvent("context", "x" * 10_000, "less"))
    assert len(message) < 150
