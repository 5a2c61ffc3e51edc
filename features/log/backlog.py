"""How a host's log stands: what the shipper has not taken yet, and whether rewards still come.

A decision whose reward window has passed without a reward is ordinary; very many in a row are a broken feed. How many
of them ought to have had one is told by the decisions before: of the last REMEMBERED rewards the share of decisions,
from the oldest that they reward on, that had any. Late rewards of old decisions make that share lower, never higher.
Rows are counted by their numbers, which have no gaps but where a unit was forgotten: nothing here grows with the log.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from croupier.features.log.spool_file import SpoolUnavailable, bytes_in_use
from croupier.features.log.spool_rows import KINDS

REMEMBERED = 1000  # rewards by which the usual share is known
FEWEST = 20  # rewarded decisions without which no share is known


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """`unshipped` rows of all kinds; `oldest_unshipped`, `newest_shipped`, `newest`: times of decisions (UTC µs), None
    where there is none. `expected_rewards`: rewarded decisions that should have come since the last reward; None where
    that is not known."""

    bytes: int
    unshipped: int
    oldest_unshipped: int | None
    newest_shipped: int | None
    newest: int | None
    expected_rewards: float | None


def backlog(path: Path, *, window_us: int, now: int) -> Backlog:
    """Reads it from the spool at `path`, at one moment, without keeping a writer waiting. `window_us`: the app's reward
    window. Raises SpoolUnavailable."""
    with _reading(path) as db:
        first = _first_unshipped(db)
        return Backlog(
            bytes=bytes_in_use(db),
            unshipped=unshipped(db),
            oldest_unshipped=_at(db, "id >= ? ORDER BY id", first),
            newest_shipped=_at(db, "id < ? ORDER BY id DESC", first),
            newest=_at(db, "id > ? ORDER BY id DESC", 0),
            expected_rewards=_expected(db, now - window_us),
        )


def decided_since(path: Path, since: int) -> bool:
    """True if the spool at `path` has a decision of `since` (UTC µs) or later; False where there is no spool."""
    if not path.exists():
        return False
    with _reading(path) as db:
        newest = _at(db, "id > ? ORDER BY id DESC", 0)
    return newest is not None and newest >= since


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    db = None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)
        db.execute("BEGIN")
        yield db
    except sqlite3.Error as error:
        raise SpoolUnavailable(f"{path}: {error}; expected a log that this version has opened before") from error
    finally:
        if db is not None:
            db.close()


def unshipped(db: sqlite3.Connection) -> int:
    """Rows behind the shipper: the last row of each kind less the last one that a shipment took."""
    shipped = dict(db.execute("SELECT name, value FROM facts WHERE name LIKE 'shipped_%'").fetchall())
    last = dict(db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    return int(sum(last.get(kind, 0) - int(shipped.get(f"shipped_{kind}", 0)) for kind in KINDS))


def _first_unshipped(db: sqlite3.Connection) -> int:
    """The first row of decisions that is not in the store: of a shipment that has not ended, or of none yet."""
    unfinished = db.execute("SELECT min(first) FROM shipments WHERE kind = 'decisions' AND done = 0").fetchone()[0]
    if unfinished is not None:
        return int(unfinished)
    row = db.execute("SELECT value FROM facts WHERE name = 'shipped_decisions'").fetchone()
    return int(row[0]) + 1 if row else 1


def _at(db: sqlite3.Connection, where: str, row: int) -> int | None:
    found = db.execute(f"SELECT at FROM decisions WHERE {where} LIMIT 1", [row]).fetchone()
    return int(found[0]) if found else None


def _expected(db: sqlite3.Connection, matured: int) -> float | None:
    """The decisions since the last reward whose window closed before `matured`, times the share that is usual."""
    last = db.execute("SELECT seen FROM rewards ORDER BY id DESC LIMIT 1").fetchone()
    if last is None or last[0] is None:  # none yet; or a row of an older version
        return None
    share = _usual_share(db, int(last[0]))
    return None if share is None else share * (_last_until(db, int(last[0]), matured) - int(last[0]))


def _usual_share(db: sqlite3.Connection, until: int) -> float | None:
    """The share of decisions with a reward, as the last rewards have it, of decisions up to row `until`."""
    query = """SELECT count(*), min(id) FROM decisions WHERE event_id IN
               (SELECT event_id FROM (SELECT event_id FROM rewards ORDER BY id DESC LIMIT ?))"""
    rewarded, first = db.execute(query, [REMEMBERED]).fetchone()
    return None if rewarded < FEWEST else min(1.0, int(rewarded) / max(until - int(first) + 1, 1))


def _last_until(db: sqlite3.Connection, low: int, at: int) -> int:
    """The last row of decisions that was made until `at`; `low` where none behind it was. Rows are in order of time, so
    that some forty looks find it in a log of any size."""
    high = int(db.execute("SELECT coalesce(max(id), 0) FROM decisions").fetchone()[0])
    while low < high:
        middle = (low + high + 1) // 2
        found = db.execute("SELECT at FROM decisions WHERE id >= ? ORDER BY id LIMIT 1", [middle]).fetchone()
        low, high = (middle, high) if int(found[0]) <= at else (low, middle - 1)
    return low
