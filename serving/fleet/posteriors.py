"""What other hosts had learnt when this host decided: kept by the name that its decisions have on record.

A name is a digest of what it stands for, so that hosts which had the same from the others have the same name for it.
"""

from croupier.features.clock import now_us
from croupier.features.log.ship import KEPT
from croupier.features.log.spool import Spool
from croupier.features.utc import DAY

_TABLE = "CREATE TABLE IF NOT EXISTS posteriors (name TEXT PRIMARY KEY, at INTEGER, body BLOB)"


def keep(spool: Spool, name: str, body: bytes, *, before: str) -> None:
    """Keeps, durably, what a name stands for, before a decision is made by it; `before` is the name that was in force
    until now. One that has not been in force for longer than rows of the log stay (a week) is forgotten."""
    now = now_us()
    with spool.transaction() as db:
        db.execute(_TABLE)
        db.execute("UPDATE posteriors SET at = ? WHERE name = ?", [now, before])
        db.execute("INSERT OR REPLACE INTO posteriors VALUES (?, ?, ?)", [name, now, body])
        db.execute("DELETE FROM posteriors WHERE at < ?", [now - KEPT - DAY])


def kept(spool: Spool, name: str) -> bytes | None:
    """What a name stands for; None where this spool does not know it."""
    with spool.transaction() as db:
        db.execute(_TABLE)
        found = db.execute("SELECT body FROM posteriors WHERE name = ?", [name]).fetchone()
    return bytes(found[0]) if found else None
