"""Lines of one event counted once, as `croupier import` and the join count them: a log whose writer tried again holds
the same line several times, and nine copies of a rewarded one are one reward."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from croupier.features.exchange.importing import same
from croupier.features.exchange.record import Record
from croupier.features.interactions.reward_columns import first_of_equal, to_number
from croupier.features.reward import ORDER
from croupier.features.schema import Decision, Reward
from croupier.features.spec import RewardSpec

_SCHEMA = {"event_id": pl.String, "at": pl.Int64, "kind": pl.String, "value": pl.Float64, "reward_id": pl.String}


@dataclass(frozen=True, kw_only=True)
class Events:
    """`rows`: a dict a decision, with reward, reward_count and reward_at; `repeated` lines told of a decision that was
    there already, `conflicting` ones bore another decision's event id, and nothing of them is kept."""

    rows: list[dict[str, Any]]
    repeated: int
    conflicting: int


def events(records: Iterable[Record], spec: RewardSpec) -> Events:
    """The decisions in the order of their first lines, each with the number that its distinct rewards make."""
    decisions, rewards = dict[str, Decision](), list[Reward]()
    repeated = conflicting = 0
    for record in records:
        known = decisions.setdefault(record.decision.event_id, record.decision)
        if not same(known, record.decision):
            conflicting += 1
            continue
        repeated += known is not record.decision
        rewards += record.rewards
    numbers = _numbers(rewards, {event: float(d.margin or "nan") for event, d in decisions.items()}, spec)
    nothing = {"reward": spec.default, "reward_count": 0, "reward_at": None}
    rows = [decision.to_row() | numbers.get(event, nothing) for event, decision in decisions.items()]
    return Events(rows=rows, repeated=repeated, conflicting=conflicting)


def _numbers(rewards: list[Reward], margins: Mapping[str, float], spec: RewardSpec) -> dict[str, dict[str, Any]]:
    """event id → reward, reward_count and reward_at. All of a line's rewards bear its decision's time."""
    named = ("event_id", "at", "kind", "value", "reward_id")
    table = {name: [getattr(reward, name) for reward in rewards] for name in named}
    frame = pl.DataFrame(table, schema=_SCHEMA).sort(ORDER)
    frame = frame.with_columns(margin=pl.Series([margins[event] for event in frame["event_id"]], dtype=pl.Float64))
    return {row.pop("event_id"): row for row in to_number(frame.filter(first_of_equal()), spec).to_dicts()}
