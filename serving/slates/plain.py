"""Which slates are decided at once: those whose slots have the same context, and of which nothing is on record."""

from collections import Counter
from collections.abc import Sequence

from croupier.features.log.spool import Spool
from croupier.features.schema import InvalidEvent
from croupier.features.slates.minimums import minimums_of
from croupier.features.slates.so_far import MAX_SLOTS
from croupier.serving.contract.requests import CANARY, MAX_ID_BYTES
from croupier.serving.contract.slates import SlateRequest, names, slot_event


def plain(asked: Sequence[SlateRequest], spool: Spool) -> list[int]:
    """Returns the number of slots of each slate that is decided at once, 0 for the others."""
    found = list(map(_slots, asked))
    given = [i for i, k in enumerate(found) if k and asked[i].event_id]
    if given:
        times = Counter(asked[i].event_id for i in given)
        events = {i: [slot_event(asked[i].event_id, place) for place in range(found[i])] for i in given}
        there = spool.find([event for i in given for event in events[i]]).keys()
        for i in given:
            if times[asked[i].event_id] > 1 or not there.isdisjoint(events[i]):
                found[i] = 0
    return found


def _slots(asked: SlateRequest) -> int:
    """The number of slots of the same context; 0 where one has features of its own, or where something is wrong that
    has to be said (contract/slates.py says it)."""
    k = len(asked.slots) if asked.slots and not asked.k and not any(asked.slots) else asked.k
    if type(k) is not int or (asked.slots and k != len(asked.slots)) or asked.unit_id == CANARY:
        return 0
    if not 0 < k <= MAX_SLOTS or not isinstance(asked.arms, list | tuple) or len(asked.arms) < k:
        return 0
    if asked.minimums and not _can_be_kept(asked, k):
        return 0
    name = asked.event_id
    if not name:
        return k
    return k if isinstance(name, str) and len(slot_event(name, k - 1).encode(errors="replace")) <= MAX_ID_BYTES else 0


def _can_be_kept(asked: SlateRequest, k: int) -> bool:
    try:
        minimums_of(asked.minimums, names(asked.arms), k)
    except (InvalidEvent, TypeError):  # of arms that are nothing like it, which are refused elsewhere
        return False
    return True
