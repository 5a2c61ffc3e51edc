"""What a client could not deliver, kept in order in a small SQLite file until the server is back.

A write lands in the operating system at once (it survives a crash of the process, not a power cut): it stands in the
way of a user's answer. Several processes may share the file; deliveries repeat after a crash and the server ignores
repeats, by event id.
"""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

MAX_ENTRIES = 1_000_000


class Outbox:
    """`path` None: in memory, lost with the process. Full (a million entries): the newest are counted and dropped."""

    def __init__(self, path: Path | None = None, *, max_entries: int = MAX_ENTRIES) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._turn, self._max = threading.Lock(), max_entries
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=5)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        columns = "id INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT, row BLOB"
        self._db.execute(f"CREATE TABLE IF NOT EXISTS outbox ({columns})")
        self._size = int(self._db.execute("SELECT count(*) FROM outbox").fetchone()[0])
        self.dropped = 0

    def put(self, model: str, rows: Sequence[dict[str, Any]]) -> None:
        """Queue rows for `model` (record | reward)."""
        with self._turn:
            room = rows[: max(0, self._max - self._size)]
            self.dropped += len(rows) - len(room)
            entries = [(model, orjson.dumps(row)) for row in room]
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO outbox (model, row) VALUES (?, ?)", entries)
            self._db.execute("COMMIT")
            self._size += len(room)

    def next(self, limit: int = 256) -> tuple[str, list[int], list[dict[str, Any]]]:
        """The oldest entries that go to one model: (model, ids, rows); ("", [], []) when there are none."""
        with self._turn:
            found = self._db.execute("SELECT id, model, row FROM outbox ORDER BY id LIMIT ?", (limit,)).fetchall()
        same = [f for i, f in enumerate(found) if all(g[1] == found[0][1] for g in found[: i + 1])]
        return (same[0][1] if same else "", [f[0] for f in same], [orjson.loads(f[2]) for f in same])

    def done(self, ids: Sequence[int]) -> None:
        """These have been answered for by the server."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM outbox WHERE id = ?", [(i,) for i in ids])
            self._db.execute("COMMIT")
            self._size -= len(ids)

    def __len__(self) -> int:
        return self._size

    def close(self) -> None:
        self._db.close()
