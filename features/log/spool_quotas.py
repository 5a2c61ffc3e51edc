"""What each sort of row may take of the spool, so that none of them can push out another.

Decisions have `max_bytes`, and are thinned from 80 % of it on. Rewards may fill as much again beside them; then
they are not taken until the shipper has made room, and their senders keep them. Rejects may fill a twentieth: from the
half of it on their raw bytes are cut, and beyond it they are counted by kind and reason, and kept no more.

The bytes of rewards and rejects are added up beside them (facts `bytes_*`): by triggers, but for those of new rewards,
which `add` counts by the batch.
"""

import sqlite3
from typing import Final

from croupier.features.log.spool_rows import RAW_LIMIT, Reject, reject_row, word_of

REWARDS_SHARE, REJECTS_SHARE = 1.0, 0.05  # of max_bytes, beside it
CUT = 256  # bytes of a raw event that are kept once half of the rejects' share is used
COUNTED = "counted"  # kind of the reject that stands for many; facts of them are "counted KIND WORD"

_SIZES: Final = {
    "rewards": "length({0}.body) + 2 * (length({0}.event_id) + length({0}.token)) + 64",  # the row and its index
    "rejects": "length({0}.body) + 32",
}
_TRIGGERS = """
INSERT INTO facts SELECT 'bytes_{table}', (SELECT coalesce(sum({row}), 0) FROM {table})
    WHERE NOT EXISTS (SELECT 1 FROM facts WHERE name = 'bytes_{table}');
CREATE TRIGGER IF NOT EXISTS {table}_went AFTER DELETE ON {table}
    BEGIN UPDATE facts SET value = value - ({old}) WHERE name = 'bytes_{table}'; END;
"""
_CAME = """
DROP TRIGGER IF EXISTS rewards_came;
CREATE TRIGGER IF NOT EXISTS rejects_came AFTER INSERT ON rejects
    BEGIN UPDATE facts SET value = value + {new} WHERE name = 'bytes_rejects'; END;
"""
SCRIPT = _CAME.format(new=_SIZES["rejects"].format("NEW")) + "".join(
    _TRIGGERS.format(table=table, row=size.format(table), old=size.format("OLD")) for table, size in _SIZES.items()
)


def add(db: sqlite3.Connection, size: int) -> int:
    """Adds the bytes of new rewards within the open transaction; returns what all of them take."""
    statement = "UPDATE facts SET value = value + ? WHERE name = 'bytes_rewards' RETURNING value"
    return int(db.execute(statement, [size]).fetchone()[0])


def reward_size(event_id: str, token: str, body: bytes) -> int:
    """Returns the bytes that a reward's row and its index take, about."""
    return len(body) + 2 * (len(event_id) + len(token)) + 64


def used(db: sqlite3.Connection, kind: str) -> int:
    """Returns the bytes of the rows of a kind, rewards or rejects."""
    return int(db.execute("SELECT value FROM facts WHERE name = ?", [f"bytes_{kind}"]).fetchone()[0])


def keep_or_count(db: sqlite3.Connection, rejects: list[Reject], max_bytes: int) -> None:
    """Keeps, within the open transaction, those that there is room for, and counts the others."""
    room = REJECTS_SHARE * max_bytes - used(db, "rejects")
    for reject in rejects:
        row = reject_row(reject, RAW_LIMIT if room > REJECTS_SHARE * max_bytes / 2 else CUT)
        size = len(row[1]) + 32
        if size < room:
            db.execute("INSERT INTO rejects (at, body) VALUES (?, ?)", row)
            room -= size
        else:
            name = f"{COUNTED} {reject.kind} {word_of(reject.reason)}"
            db.execute("INSERT OR IGNORE INTO facts VALUES (?, 0)", [name])
            db.execute("UPDATE facts SET value = value + 1 WHERE name = ?", [name])


def unreported(db: sqlite3.Connection) -> list[Reject]:
    """Returns one reject for each sort of those that were only counted since the last call; marked as reported."""
    found = []
    for name, count in db.execute("SELECT name, value FROM facts WHERE name LIKE ?", [f"{COUNTED} %"]).fetchall():
        reported = db.execute("SELECT value FROM facts WHERE name = ?", [f"reported {name}"]).fetchone() or (0,)
        if count > reported[0]:
            _, kind, word = name.split(" ")
            found.append(Reject(COUNTED, kind, str(count - reported[0]).encode(), word, _last(db)))
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [f"reported {name}", count])
    return found


def counted(facts: dict[str, int]) -> int:
    """How many rejects were only counted."""
    return sum(int(value) for name, value in facts.items() if name.startswith(f"{COUNTED} "))


def _last(db: sqlite3.Connection) -> int:
    """When the last reject that was kept came, UTC µs."""
    row = db.execute("SELECT at FROM rejects ORDER BY id DESC LIMIT 1").fetchone()
    return int((row or db.execute("SELECT coalesce(max(at), 0) FROM decisions").fetchone())[0])
