"""What a host's log holds of one unit: for whoever asks what a customer, or a page of several slots, was shown."""

from croupier.features.log.spool import Spool
from croupier.features.log.spool_rows import decision
from croupier.features.schema import Decision


def decisions_of(spool: Spool, unit_id: str, *, most: int) -> list[Decision]:
    """The newest `most` decisions of the unit whose hash is `unit_id`, oldest first. The log has no index of units, so
    every row is read once."""
    with spool.reading() as db:
        query = "SELECT body FROM decisions WHERE instr(body, ?) > 0 ORDER BY id DESC"
        found = []
        for (body,) in db.execute(query, [f'"{unit_id}"'.encode()]):
            if (each := decision(body)).unit_id == unit_id:  # a context may hold the same text
                found.append(each)
            if len(found) == most:
                break
    return found[::-1]


def decisions_below(spool: Spool, unit_id: str, event_id: str) -> list[Decision]:
    """The decisions EVENT_ID/… of the unit whose hash is `unit_id`, in the order they came: the slots of one page."""
    ends = [f"{event_id}/", f"{event_id}0", f'"{unit_id}"'.encode()]  # 0 comes after / in every encoding of text
    with spool.reading() as db:
        query = "SELECT body FROM decisions WHERE event_id > ? AND event_id < ? AND instr(body, ?) > 0 ORDER BY id"
        found = [decision(body) for (body,) in db.execute(query, ends)]
    return [each for each in found if each.unit_id == unit_id]
