"""Features that requests brought and nothing declares: how many values were left out, by scope and name.

They are added up beside the log, in the transaction that puts the decisions on record, and shipped as rejects of a kind
of their own, one a name: so they travel with the hour, over hosts they add, and no event is counted for them.
"""

import sqlite3
from collections.abc import Mapping

from croupier.features.log.spool_rows import LEFT_OUT, Reject

MOST_NAMES = 1000  # that are counted apart: names are the caller's
OTHERS = "(other names)"
_FACT, _REPORTED = f"{LEFT_OUT} ", f"reported {LEFT_OUT} "


def count(db: sqlite3.Connection, counts: Mapping[str, int]) -> None:
    """Adds the counts within the open transaction."""
    for name, n in counts.items():
        fact = _FACT + name
        if not db.execute("SELECT 1 FROM facts WHERE name = ?", [fact]).fetchone():
            fact = fact if len(_facts(db, _FACT)) < MOST_NAMES else _FACT + OTHERS
            db.execute("INSERT OR IGNORE INTO facts VALUES (?, 0)", [fact])
        db.execute("UPDATE facts SET value = value + ? WHERE name = ?", [n, fact])


def unreported(db: sqlite3.Connection, at: int) -> list[Reject]:
    """Returns a reject for each name whose count has grown since the last call, dated `at`; marked as reported."""
    reported, found = _facts(db, _REPORTED), []
    for name, n in _facts(db, _FACT).items():
        if new := n - reported.get(name, 0):
            found.append(Reject(LEFT_OUT, name, str(new).encode(), "not declared in app.toml", at))
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [_REPORTED + name, n])
    return found


def _facts(db: sqlite3.Connection, prefix: str) -> dict[str, int]:
    """The facts under a prefix, by what follows it."""
    query = "SELECT substr(name, ?), value FROM facts WHERE substr(name, 1, ?) = ?"
    return dict(db.execute(query, [len(prefix) + 1, len(prefix), prefix]).fetchall())
