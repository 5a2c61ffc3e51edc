"""The file below the spool: SQLite in WAL mode, one writer at a time whatever the process, facts beside the log.

A transaction returns when the disk has it (`FULL`: survives power loss; `NORMAL`: survives a crash of the process, may
lose the last moments on power loss).
"""

import fcntl
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from croupier.features.log import spool_quotas
from croupier.features.store import layout
from croupier.features.store.folders import make_private

_TABLES = (
    """
CREATE TABLE IF NOT EXISTS decisions (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT UNIQUE, at INTEGER,
    body BLOB);
CREATE TABLE IF NOT EXISTS rewards (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT, token TEXT, at INTEGER,
    body BLOB, seen INTEGER, passed_on INTEGER, UNIQUE (event_id, token));
CREATE TABLE IF NOT EXISTS rejects (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, body BLOB);
CREATE TABLE IF NOT EXISTS closings (id INTEGER PRIMARY KEY AUTOINCREMENT, rewards INTEGER, decisions INTEGER,
    before INTEGER);
CREATE TABLE IF NOT EXISTS shipments (kind TEXT, first INTEGER, last INTEGER, done INTEGER, PRIMARY KEY (kind, first));
CREATE TABLE IF NOT EXISTS thinned (id INTEGER PRIMARY KEY AUTOINCREMENT, place INTEGER UNIQUE);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value);
INSERT OR IGNORE INTO facts VALUES ('spool_id', lower(hex(randomblob(16)))), ('thinned', 0);
"""
    + spool_quotas.SCRIPT
)


PROBED = 64 << 10  # bytes that must be free on the disk, more than most rows need


class SpoolUnavailable(RuntimeError):
    """The log's disk failed or is full: nothing of this call was written, and nothing may be acknowledged."""


def _private(path: str | Path, flags: int) -> int:
    """Opens, or makes with mode 0640: decisions are for the owner and its group. SQLite's files beside it follow."""
    return os.open(path, flags, 0o640)


def bytes_in_use(db: sqlite3.Connection) -> int:
    """Returns the bytes in use; pages that deletions freed are not counted, they are used again."""
    pages, free, each = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * each


class SpoolFile:
    """Open it in as many processes as needed; within a process, threads take turns."""

    def __init__(self, path: Path, *, durability: Literal["FULL", "NORMAL"] = "FULL") -> None:
        self.path = path
        self._turn = threading.Lock()
        self._file = 0  # its inode: a file that was deleted goes on taking rows that nobody can read
        try:
            make_private(path.parent)
            gate = path.with_name(path.name + layout.LOCK)
            self._gate = os.fdopen(_private(gate, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")
            os.close(_private(path, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise self._unavailable(error) from error
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        try:
            self._prepare(durability)
        except SpoolUnavailable:
            self.close()
            raise

    def _prepare(self, durability: str) -> None:
        with self._writer():
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute(f"PRAGMA synchronous={'NORMAL' if durability == 'NORMAL' else 'FULL'}")
            self.db.execute("PRAGMA secure_delete=ON")  # what is forgotten is overwritten
            self.db.executescript(_TABLES)
            columns = {column[1] for column in self.db.execute("PRAGMA table_info(rewards)")}
            for name in {"seen", "passed_on"} - columns:  # an older spool
                self.db.execute(f"ALTER TABLE rewards ADD COLUMN {name} INTEGER")
            self._file = self.path.stat().st_ino
            self.id: str = self.db.execute("SELECT value FROM facts WHERE name = 'spool_id'").fetchone()[0]

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Writes all of the block or nothing. Raises SpoolUnavailable."""
        with self._writer():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Raises SpoolUnavailable."""
        try:
            with self._turn:
                yield self.db
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def refuse_unwritable(self) -> None:
        """Raises SpoolUnavailable where a row could not be put on record now: the file is gone, another one stands in
        its place, it may not be written, or its disk is full. It writes no row: a file without a name is tried."""
        try:
            with tempfile.TemporaryFile(dir=self.path.parent) as probe:
                probe.write(bytes(PROBED))
        except OSError as error:
            raise self._unavailable(error) from error
        with self.transaction():
            pass  # it begins where a row could be written, and ends with none

    def overwrite_deleted(self) -> None:
        """Overwrites what was deleted, in the write-ahead log too."""
        with self._writer():
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def note(self, name: str, value: object) -> None:
        """Keeps a fact beside the log, durably; None forgets it."""
        with self.transaction() as db:
            db.execute("DELETE FROM facts WHERE name = ?", [name])
            if value is not None:
                db.execute("INSERT INTO facts VALUES (?, ?)", [name, value])

    def noted(self, name: str) -> object:
        """Returns a fact that was noted under this name; None where there is none."""
        with self.reading() as db:
            row = db.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
        return row[0] if row else None

    def size(self) -> int:
        """Returns the bytes in use."""
        with self.reading():
            return self._size()

    def _size(self) -> int:
        return bytes_in_use(self.db)

    def close(self) -> None:
        """Closes the file; the spool cannot be used afterwards."""
        self.db.close()
        self._gate.close()

    @contextmanager
    def _writer(self) -> Iterator[None]:
        """One writer at a time. A file lock wakes the next process at once, where SQLite's own would poll."""
        try:
            with self._turn:
                fcntl.flock(self._gate, fcntl.LOCK_EX)
                try:
                    if self._file and self.path.stat().st_ino != self._file:
                        raise OSError("another file than the one that was opened: restart what writes to it")
                    yield
                finally:
                    fcntl.flock(self._gate, fcntl.LOCK_UN)
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> SpoolUnavailable:
        return SpoolUnavailable(f"{self.path}: {error}; nothing of this call was written")
