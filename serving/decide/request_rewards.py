"""Rewards of requests to allocate: of a whole request by its own event, or of its items by theirs, as is declared.

A reward of a whole request is put on record for each of its items: every item's row then has the request's reward, the
join and the account stay what they are, and trainings learn one row a request (models/bayesian/whole_requests.py)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from croupier.features.budgets.allocated_item import AllocatedItem, item_event, item_of
from croupier.features.schema import Decision, InvalidEvent, Reward
from croupier.features.spec_values import OF_REQUESTS, AllocationSpec


class DecisionsByEvent(Protocol):
    """What is needed of croupier.features.log.spool.Spool."""

    def find(self, event_ids: Sequence[str]) -> dict[str, Decision]:
        """Returns the decisions of these events that are on record, by event id."""


def spread(
    rewards: Sequence[Reward], declared: AllocationSpec | None, log: DecisionsByEvent
) -> list[list[Reward] | InvalidEvent]:
    """What is put on record for each reward: itself, or one for each item of the request that it is of; or, where it is
    of a request and rewards are of items, or the other way round, what is wrong."""
    if declared is None or not declared.declared:
        return [[reward] for reward in rewards]
    events = [reward.event_id for reward in rewards]
    found = log.find([*events, *(item_event(event, 0) for event in events)])
    return [_spread(reward, declared.rewards == OF_REQUESTS, found) for reward in rewards]


def _spread(reward: Reward, whole: bool, found: dict[str, Decision]) -> list[Reward] | InvalidEvent:
    own, first = _item(found.get(reward.event_id)), _item(found.get(item_event(reward.event_id, 0)))
    if own is not None and whole:
        expected = f"the event of the whole request, {own.request!r}: app.toml has allocation.rewards = 'request'"
        return InvalidEvent("event_id", reward.event_id, expected)
    if first is not None and not whole:
        expected = (
            f"the event of an item, as {item_event(reward.event_id, 0)!r}: app.toml has allocation.rewards = 'items'"
        )
        return InvalidEvent("event_id", reward.event_id, expected)
    if first is None:
        return [reward]
    return [replace(reward, event_id=item_event(reward.event_id, place)) for place in range(first.items)]


def _item(decision: Decision | None) -> AllocatedItem | None:
    return item_of(decision.allocation) if decision is not None and decision.allocation else None
