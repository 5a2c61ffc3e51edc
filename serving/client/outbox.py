"""What a client could not deliver, kept in order in a small SQLite file until the server is back.

A write lands in the operating system at once (it survives a crash of the process, not a power cut): it stands in the
way of a user's answer. Hence it is not waited for either: what a locked or failing file cannot take stays in memory
until it can. Several processes may share the file; deliveries repeat after a crash and the server ignores repeats, by
event id.
"""

import logging
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)
MAX_ENTRIES = 1_000_000
OPEN_SECONDS, BUSY_MS = 5.0, 2  # how long another process that writes is waited for: when opening, when in use


class Outbox:
    """`path` None: in memory, lost with the process. Full (a million entries): the newest are counted and dropped.
    Raises ValueError for a file that is no outbox."""

    def __init__(self, path: Path | None = None, *, max_entries: int = MAX_ENTRIES) -> None:
        self._turn, self._max = threading.Lock(), max_entries
        self._waiting: list[tuple[str, bytes]] = []  # for the file
        self.dropped = 0
        try:
            self._open(path)
        except (sqlite3.Error, OSError) as error:
            expected = "an outbox, or a file that can be made: move it away, or name another"
            raise ValueError(f"outbox {path}: found {error}, expected {expected}") from error

    def _open(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        where, wait = path or ":memory:", OPEN_SECONDS
        self._db = sqlite3.connect(where, isolation_level=None, check_same_thread=False, timeout=wait)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        columns = "id INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT, row BLOB"
        self._db.execute(f"CREATE TABLE IF NOT EXISTS outbox ({columns})")
        self._db.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        self._filed = int(self._db.execute("SELECT count(*) FROM outbox").fetchone()[0])

    def put(self, model: str, rows: Sequence[dict[str, Any]]) -> None:
        """Queue rows for `model` (record | reward). Never raises for what the file does."""
        with self._turn:
            room = rows[: max(0, self._max - len(self))]
            self.dropped += len(rows) - len(room)
            self._waiting += [(model, orjson.dumps(row)) for row in room]
            self._file()

    def next(self, limit: int = 256) -> tuple[str, list[int], list[dict[str, Any]]]:
        """The oldest entries that go to one model: (model, ids, rows); ("", [], []) when there are none."""
        with self._turn:
            self._file()
            found = self._db.execute("SELECT id, model, row FROM outbox ORDER BY id LIMIT ?", (limit,)).fetchall()
            if not found:
                self._filed = 0  # another process has delivered ours
        same = [f for i, f in enumerate(found) if all(g[1] == found[0][1] for g in found[: i + 1])]
        return (same[0][1] if same else "", [f[0] for f in same], [orjson.loads(f[2]) for f in same])

    def done(self, ids: Sequence[int]) -> None:
        """Forgets what the server has answered for. Raises sqlite3.Error: they may be delivered again."""
        with self._turn:
            self._change("DELETE FROM outbox WHERE id = ?", [(i,) for i in ids])
            self._filed = max(0, self._filed - len(ids))  # another process's may be among them

    def __len__(self) -> int:
        return self._filed + len(self._waiting)

    def close(self) -> None:
        """What is in memory goes into the file if it can. More than once is no error."""
        with self._turn:
            with suppress(sqlite3.Error):
                self._db.execute(f"PRAGMA busy_timeout={OPEN_SECONDS * 1000:.0f}")
            self._file()
            self._db.close()

    def _file(self) -> None:
        """What waits for the file, into it."""
        if not self._waiting:
            return
        try:
            self._change("INSERT INTO outbox (model, row) VALUES (?, ?)", self._waiting)
        except sqlite3.Error as error:
            log.warning("outbox: %s; %s entries wait in memory", error, len(self._waiting))
        else:
            self._filed += len(self._waiting)
            self._waiting = []

    def _change(self, statement: str, entries: Sequence[tuple[Any, ...]]) -> None:
        """Changes all of the rows or none."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(statement, entries)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
