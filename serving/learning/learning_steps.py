"""What changes a head, step by step: a pure function of the host's log (rewards, decisions, features/log/closings.py).

An event teaches first when its first reward comes, or when its window closes without one: then it comes to the default.
A further reward within the window (by its stamp) is a correction, also one that arrives after the window was closed. A
late reward, stamped after the window, never moves anything. A reward that came before its decision was on record
counts with the event's next reward, or when the window closes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from croupier.features.log import closings
from croupier.features.log.closings import Arrival, Closing
from croupier.features.log.spool import Spool
from croupier.features.reward import combined
from croupier.features.schema import Decision
from croupier.features.spec import RewardSpec


class Position(NamedTuple):
    """How far the log was followed: the last row of the rewards, and the last closing. Positions are ordered."""

    cursor: int = 0
    closing: int = 0


START = Position()


@dataclass(frozen=True)
class Step:
    """One change of a head: what an event came to before (None: nothing), and comes to now."""

    cursor: int
    decision: Decision
    before: float | None
    now: float
    closing: int = 0


class Whose(Protocol):
    """Which decisions a head learns (learning_scope.py)."""

    @property
    def only(self) -> frozenset[int] | None:
        """The releases whose decisions these are; None: of any."""
        ...

    def holds(self, decision: Decision) -> bool:
        """True if this head learns the decision."""


def learnt(arrived: Sequence[Arrival], decision: Decision, spec: RewardSpec, *, closed: bool) -> float | None:
    """What an event teaches: its rewards, or the default once it is closed, within the declared range, beyond which the
    slow loop does not learn at all: one reward of 1e308 would make a head infinite for good. What is no number (∞ − ∞)
    is the low end. Where sales are rewarded, a decision without a margin teaches nothing."""
    if spec.sells and not decision.margin:
        return None
    found, (low, high) = combined([a.reward for a in arrived], decision.at, spec, decision.margin), spec.range
    if found is None and closed:
        found = spec.default
    return None if found is None else min(high, max(low, found))


def steps(
    spool: Spool, whose: Sequence[Whose], spec: RewardSpec, *, after: Position = START, limit: int = 1000
) -> Iterator[tuple[Position, list[Step]]]:
    """The steps of the decisions that any of `whose` holds, from a position on, in the log's order: (position reached,
    steps). A closing is never split."""
    cursor, last = after.cursor, closings.closing(spool, after.closing)
    while True:
        arrived = closings.arrivals(spool, cursor, limit)  # first these: what a closing has not seen came after it
        this = closings.next_closing(spool, last.id)
        arrived = [a for a in arrived if this is None or a.row <= this.rewards]
        if arrived:
            cursor = arrived[-1].row
            yield Position(cursor, last.id), _rewarded(spool, arrived, last, whose, spec)
        elif this is not None:
            cursor = max(cursor, this.rewards)
            yield Position(cursor, this.id), _closed(spool, last, this, whose, spec)
            last = this
        else:
            return


def _rewarded(
    spool: Spool, arrived: Sequence[Arrival], last: Closing, whose: Sequence[Whose], spec: RewardSpec
) -> list[Step]:
    decisions = closings.decisions_of(spool, list({a.reward.event_id for a in arrived}))
    mine = {event: (row, d) for event, (row, d) in decisions.items() if any(each.holds(d) for each in whose)}
    history, found = closings.arrivals_of(spool, list(mine)), []
    for arrival in arrived:
        event = arrival.reward.event_id
        if event not in mine or mine[event][0] > arrival.seen:
            continue
        row, d = mine[event]
        closed = last.covers(row, d.at)
        past = [a for a in history[event] if a.row < arrival.row]
        known = closed or any(a.seen >= row for a in past)
        before = learnt(past, d, spec, closed=closed) if known else None
        now = learnt([*past, arrival], d, spec, closed=closed)
        if now is not None and now != before:
            found.append(Step(arrival.row, d, before, now, last.id))
    return found


def _closed(spool: Spool, last: Closing, this: Closing, whose: Sequence[Whose], spec: RewardSpec) -> list[Step]:
    sets = [each.only for each in whose]
    releases = None if None in sets else frozenset().union(*(s for s in sets if s))  # found at once where it is one
    over = closings.closed_between(spool, last, this, releases)
    over = [(row, d) for row, d in over if any(each.holds(d) for each in whose)]
    history, found = closings.arrivals_of(spool, [d.event_id for _, d in over]), []
    for row, d in over:
        past = [a for a in history[d.event_id] if a.row <= this.rewards]
        before = learnt(past, d, spec, closed=False) if any(a.seen >= row for a in past) else None
        now = learnt(past, d, spec, closed=True)
        if now is not None and now != before:
            found.append(Step(this.rewards, d, before, now, this.id))
    return found
