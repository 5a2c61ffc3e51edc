"""What a host's log holds of one unit: for whoever asks what a customer was shown."""

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
