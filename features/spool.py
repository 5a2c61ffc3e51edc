"""The durable event log of one host: a SQLite file in WAL mode that many processes append to.

One call is one transaction, and it returns when the disk has it (`FULL`: survives power loss; `NORMAL`: survives a
crash of the process, may lose the last moments on power loss). Event ids are unique: a repeat gets the first answer.
What cannot be used (malformed events, repeated rewards) is kept in `rejects`, so the account can name it.

At `max_bytes` the log is thinned instead of stopped: each decision is kept with a probability p that falls as the room
runs out, by a hash of its event id; what is kept carries `pass_probability` = p (an estimate divides by it and stays
unbiased), what is not kept is counted: decided = logged + thinned.
"""

import fcntl
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import orjson

from features.ids import uniform01
from features.schema import Decision, InvalidEvent, Reward

Kind = Literal["decisions", "rewards", "rejects"]
KINDS: tuple[Kind, ...] = ("decisions", "rewards", "rejects")
RAW_LIMIT = 64 << 10  # bytes of a malformed event that are kept
MICROSECONDS_2100 = 4_102_444_800_000_000
THIN_FROM = 0.8  # share of max_bytes from which decisions are thinned
MIN_PASS = 1 / 1024

_TABLES = """
CREATE TABLE IF NOT EXISTS decisions (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT UNIQUE, at INTEGER,
    body BLOB);
CREATE TABLE IF NOT EXISTS rewards (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT, token TEXT, at INTEGER,
    body BLOB, UNIQUE (event_id, token));
CREATE TABLE IF NOT EXISTS rejects (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, body BLOB);
CREATE TABLE IF NOT EXISTS shipments (kind TEXT, first INTEGER, last INTEGER, done INTEGER, PRIMARY KEY (kind, first));
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value);
INSERT OR IGNORE INTO facts VALUES ('spool_id', lower(hex(randomblob(4)))), ('thinned', 0);
"""


class SpoolUnavailable(RuntimeError):
    """The log's disk failed or is full: nothing of this call was written, and nothing may be acknowledged."""


@dataclass(frozen=True, slots=True)
class Reject:
    """What did not become an event. `kind`: decision | reward | thinned; `reason` 'duplicate': a repeated reward."""

    kind: str
    field: str
    raw: bytes
    reason: str
    at: int


class Spool:
    """Open it in as many processes as needed; within a process, threads take turns."""

    def __init__(
        self, path: Path, *, durability: Literal["FULL", "NORMAL"] = "FULL", max_bytes: int = 8 << 30
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.max_bytes = path, max_bytes
        self._unmeasured = 0  # bytes this process may append before it looks at the size again
        self._turn = threading.Lock()
        self._file = 0  # its inode: a file that was deleted goes on taking rows that nobody can read
        self._gate = path.with_name(path.name + ".lock").open("ab")
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        try:
            self._prepare(durability)
        except SpoolUnavailable:
            self.close()
            raise

    def _prepare(self, durability: str) -> None:
        with _disk_errors(self.path), self._writer():
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute(f"PRAGMA synchronous={'NORMAL' if durability == 'NORMAL' else 'FULL'}")
            self.db.execute("PRAGMA secure_delete=ON")  # what is forgotten is overwritten
            self.db.executescript(_TABLES)
            self._file = self.path.stat().st_ino
            self.page_size: int = self.db.execute("PRAGMA page_size").fetchone()[0]
            self.id: str = self.db.execute("SELECT value FROM facts WHERE name = 'spool_id'").fetchone()[0]

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Durable on return. A repeated event_id gives the decision stored first, in its place."""
        _refuse_impossible_times(d.at for d in decisions)
        rows = list(map(_row, decisions))  # before the transaction: other writers wait for its end
        with self.transaction() as db:
            p = self._room(sum(len(body) for *_, body in rows))
            if p < 1:
                kept = [replace(d, pass_probability=p) for d in decisions if uniform01("thin", d.event_id) < p]
                db.execute("UPDATE facts SET value = value + ? WHERE name = 'thinned'", [len(decisions) - len(kept)])
                rows = list(map(_row, kept))
            added = db.executemany("INSERT OR IGNORE INTO decisions (event_id, at, body) VALUES (?, ?, ?)", rows)
            if added.rowcount == len(rows) == len(decisions):
                return list(decisions)
            stored = self._find([d.event_id for d in decisions])
        return [stored.get(d.event_id, d) for d in decisions]

    def append_rewards(self, rewards: Sequence[Reward]) -> list[bool]:
        """Durable on return. True = new; False = a repeat, by reward_id or, where there is none, by kind and value.

        A repeat is kept among the rejects with reason 'duplicate'."""
        _refuse_impossible_times(r.at for r in rewards)
        with self.transaction() as db:
            insert = "INSERT OR IGNORE INTO rewards (event_id, token, at, body) VALUES (?, ?, ?, ?)"
            new = [db.execute(insert, (r.event_id, token(r), r.at, orjson.dumps(r))).rowcount == 1 for r in rewards]
            repeats = [r for r, is_new in zip(rewards, new, strict=True) if not is_new]
            self._reject(Reject("reward", "event_id", orjson.dumps(r), "duplicate", r.at) for r in repeats)
        return new

    def append_rejects(self, rejects: Sequence[tuple[str, str, bytes, str, int] | Reject]) -> None:
        """(kind, field, raw, reason, at) of events that broke the contract. Durable on return; raw is cut at 64 KiB."""
        with self.transaction():
            self._reject(r if isinstance(r, Reject) else Reject(*r) for r in rejects)

    def find(self, event_ids: Sequence[str]) -> dict[str, Decision]:
        """The stored decisions of these events; unknown ones are left out."""
        with self._turn, _disk_errors(self.path):
            return self._find(event_ids)

    def rewards_of(self, event_ids: Sequence[str]) -> dict[str, list[tuple[int, Reward]]]:
        """(row id, reward) of these events, in order of arrival; events without any are left out."""
        found: dict[str, list[tuple[int, Reward]]] = {}
        with self._turn, _disk_errors(self.path):
            for start in range(0, len(event_ids), 500):
                some = event_ids[start : start + 500]
                marks = ",".join("?" * len(some))
                query = f"SELECT id, body FROM rewards WHERE event_id IN ({marks}) ORDER BY id"
                for row, body in self.db.execute(query, some).fetchall():
                    reward = Reward(**orjson.loads(body))
                    found.setdefault(reward.event_id, []).append((row, reward))
        return found

    def read(self, kind: Kind, after: int = 0, limit: int = 10_000, *, last: int = 2**62) -> list[tuple[int, bytes]]:
        """(row id, JSON body) in order of arrival, after < row id <= last, at most `limit`."""
        with self._turn, _disk_errors(self.path):
            query = f"SELECT id, body FROM {kind} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
            return self.db.execute(query, (after, last, limit)).fetchall()

    def counts(self) -> dict[str, int]:
        """Events ever received: decisions, rewards, rejects (repeats among them), and decisions thinned at the cap."""
        with self._turn, _disk_errors(self.path):
            facts = dict(self.db.execute("SELECT name, value FROM facts").fetchall())
            here = {kind: self.db.execute(f"SELECT count(*) FROM {kind}").fetchone()[0] for kind in KINDS}
        return {kind: here[kind] + facts.get(f"pruned_{kind}", 0) for kind in KINDS} | {"thinned": facts["thinned"]}

    def size(self) -> int:
        """Bytes in use; pages that deletions freed are not counted, they are used again."""
        with self._turn, _disk_errors(self.path):
            return self._size()

    def unshipped(self) -> int:
        """Rows behind the shipper: the last row of each kind less the last one that a shipment took."""
        with self._turn, _disk_errors(self.path):
            shipped = dict(self.db.execute("SELECT name, value FROM facts WHERE name LIKE 'shipped_%'").fetchall())
            last = dict(self.db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        return int(sum(last.get(kind, 0) - int(shipped.get(f"shipped_{kind}", 0)) for kind in KINDS))

    def _size(self) -> int:
        pages = self.db.execute("PRAGMA page_count").fetchone()[0]
        return int((pages - self.db.execute("PRAGMA freelist_count").fetchone()[0]) * self.page_size)

    def _room(self, size: int) -> float:
        """The pass probability of `size` more bytes: 1 below 80 % of max_bytes, then the share of the last 20 % that is
        still free, at least 1/1024. The log is measured when this process has used a 64th of the room left, not at
        every call."""
        self._unmeasured -= size
        if self._unmeasured < 0:
            self._unmeasured = int(THIN_FROM * self.max_bytes - self._size()) // 64
        if self._unmeasured > 0:
            return 1.0
        free = (self.max_bytes - self._size()) / (self.max_bytes * (1 - THIN_FROM))
        return min(1.0, max(MIN_PASS, free))

    def purge(self, deletions: Sequence[tuple[Kind, Sequence[int]]]) -> None:
        """Deletes rows for good: their bytes are overwritten in the file and gone from the write-ahead log."""
        with self.transaction() as db:
            for kind, rows in deletions:
                db.executemany(f"DELETE FROM {kind} WHERE id = ?", [(row,) for row in rows])
                db.execute("INSERT OR IGNORE INTO facts VALUES (?, 0)", [f"pruned_{kind}"])
                db.execute("UPDATE facts SET value = value + ? WHERE name = ?", [len(rows), f"pruned_{kind}"])
        with _disk_errors(self.path), self._writer():
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def note(self, name: str, value: object) -> None:
        """Keeps a fact beside the log, durably; None forgets it."""
        with self.transaction() as db:
            db.execute("DELETE FROM facts WHERE name = ?", [name])
            if value is not None:
                db.execute("INSERT INTO facts VALUES (?, ?)", [name, value])

    def noted(self, name: str) -> object:
        with self._turn, _disk_errors(self.path):
            row = self.db.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        self.db.close()
        self._gate.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. Raises SpoolUnavailable."""
        with _disk_errors(self.path), self._writer():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def _writer(self) -> Iterator[None]:
        """One writer at a time. A file lock wakes the next process at once, where SQLite's own would poll."""
        with self._turn:
            fcntl.flock(self._gate, fcntl.LOCK_EX)
            try:
                if self._file and self.path.stat().st_ino != self._file:
                    raise OSError("another file than the one that was opened: restart what writes to it")
                yield
            finally:
                fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _reject(self, rejects: Iterator[Reject]) -> None:
        rows = map(reject_row, rejects)
        self.db.executemany("INSERT INTO rejects (at, body) VALUES (?, ?)", rows)

    def _find(self, event_ids: Sequence[str]) -> dict[str, Decision]:
        found: list[tuple[str, bytes]] = []
        for start in range(0, len(event_ids), 500):
            some = event_ids[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT event_id, body FROM decisions WHERE event_id IN ({marks})"
            found += self.db.execute(query, some).fetchall()
        return {event_id: decision(body) for event_id, body in found}


_FIELDS = tuple(f.name for f in fields(Decision))
_values = attrgetter(*_FIELDS)


def _row(d: Decision) -> tuple[str, int, bytes]:
    """(event_id, at, JSON body); orjson takes a dict in half the time of a dataclass with slots."""
    return d.event_id, d.at, orjson.dumps(dict(zip(_FIELDS, _values(d), strict=True)))


def decision(body: bytes) -> Decision:
    """A decision from the spool's JSON."""
    row: dict[str, Any] = orjson.loads(body)
    for name in ("arms", "pmf", "arm_context"):
        row[name] = tuple(row[name])
    return Decision(**row)


def _refuse_impossible_times(times: Iterable[int]) -> None:
    """The last guard: a row that has no hour (nanoseconds, say) could never be shipped, nor anything after it."""
    for at in times:
        if not 0 <= at < MICROSECONDS_2100:
            raise InvalidEvent("at", at, "UTC microseconds since 1970, before the year 2100")


def reject_row(reject: Reject) -> tuple[int, bytes]:
    """(at, JSON body); raw bytes become text, what is no UTF-8 becomes U+FFFD. A raw unit id never enters."""
    raw = "" if reject.field == "unit_id" else reject.raw[:RAW_LIMIT].decode(errors="replace")
    return reject.at, orjson.dumps(asdict(reject) | {"raw": raw})


def token(reward: Reward) -> str:
    """What makes two rewards of one event the same reward: its id, or else its kind and value.

    Not its time: a caller that retries without an id is stamped anew. Equal rewards that are meant to repeat need ids.
    """
    return f"i{reward.reward_id}" if reward.reward_id else f"c{reward.kind}={float(reward.value)!r}"


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.DatabaseError, OSError) as error:
        raise SpoolUnavailable(f"{path}: {error}; nothing of this call was written") from error
