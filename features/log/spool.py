"""The durable event log of one host: a SQLite file that many processes append to.

One call is one transaction, on disk when it returns (see spool_file). Event ids are unique: a repeat gets the first
answer. What cannot be used (malformed events, repeated rewards) is kept in `rejects`, so the account can name it.

At `max_bytes` the log is thinned instead of stopped: each decision is kept with a probability p that falls as the room
runs out, by a hash of its event id; what is kept carries `pass_probability` = p (an estimate divides by it and stays
unbiased), what is not kept is counted, once however often it is sent: decided = logged + thinned. Rewards and rejects
have room of their own (spool_quotas.py): no flood of them thins decisions.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Literal

import orjson

from croupier.features.ids import uniform01
from croupier.features.log import backlog, left_out, spool_quotas
from croupier.features.log.spool_file import SpoolFile, SpoolUnavailable
from croupier.features.log.spool_rows import (
    DUPLICATE,
    KINDS,
    Kind,
    Reject,
    decision,
    decision_row,
    refuse_impossible_times,
    token,
)
from croupier.features.schema import Decision, Reward

THIN_FROM = 0.8  # share of max_bytes from which decisions are thinned
MIN_PASS = 1 / 1024
PLACES = 2**53  # of the hash by which decisions are thinned
REMEMBERED = 100_000  # decisions that were thinned last, so that they are counted once
AT_ONCE = 64  # decisions of one statement: each number of them is one that SQLite keeps prepared
PASSED_ON = "rewards_passed_on"  # the index that only spools have which were passed rewards
LAST_ROW = "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'decisions'), 0)"  # of decisions


class Spool(SpoolFile):
    """Durable on return. Raises SpoolUnavailable, and InvalidEvent for a time that no hour can hold."""

    def __init__(self, path: Path, *, durability: Literal["FULL", "NORMAL"] = "FULL", max_bytes: int = 8 << 30) -> None:
        self.max_bytes = max_bytes
        self._remembered = min(REMEMBERED, max_bytes >> 12)
        self._thinning = True  # whether any decision may have been thinned: looked up when the size is
        self._unmeasured = 0  # bytes this process may append before it looks at the size again
        super().__init__(path, durability=durability)

    def append_decisions(
        self, decisions: Sequence[Decision], undeclared: Mapping[str, int] | None = None
    ) -> list[Decision]:
        """Appends decisions, durable on return. A repeated event_id gives the decision stored first, in its place.
        `undeclared`: how many values their requests brought of features that nothing declares (left_out.py)."""
        refuse_impossible_times(d.at for d in decisions)
        rows = list(map(decision_row, decisions))  # before the transaction: other writers wait for its end
        if not undeclared and self._appended_at_once(rows):
            return list(decisions)
        with self.transaction() as db:
            left_out.count(db, undeclared or {})
            p = self._room(sum(len(body) for *_, body in rows))
            if p < 1 or self._thinning:
                rows = list(map(decision_row, self._thin(decisions, p)))
            if _inserted(db, rows) == len(rows) == len(decisions):
                return list(decisions)
            stored = self._find([d.event_id for d in decisions])
        return [stored.get(d.event_id, d) for d in decisions]

    def _appended_at_once(self, rows: Sequence[tuple[str, int, bytes]]) -> bool:
        """True if all rows are new and there is room, so that one statement, a transaction by itself, was enough. Each
        statement more is a moment for which other threads take the interpreter. False: the others of them are added."""
        if not 0 < len(rows) <= AT_ONCE:
            return False
        with self._writer():
            if self._room(sum(len(body) for *_, body in rows)) < 1 or self._thinning:
                return False
            return _inserted(self.db, rows) == len(rows)

    def _thin(self, decisions: Sequence[Decision], p: float) -> list[Decision]:
        """Returns the decisions that stay, marked with p; the others are counted. What is on record already is neither,
        nor what was thinned before: sent again it stays out, whatever room there is by now."""
        known = self._find([d.event_id for d in decisions])
        new = {uniform01("thin", d.event_id): d for d in reversed(decisions) if d.event_id not in known}
        for place in [place for place in new if self._thinned_before(place)]:
            del new[place]
        out = [(int(place * PLACES),) for place in new if place >= p]
        self.db.executemany("INSERT OR IGNORE INTO thinned (place) VALUES (?)", out)
        self.db.execute("DELETE FROM thinned WHERE id <= (SELECT max(id) FROM thinned) - ?", [self._remembered])
        self.db.execute("UPDATE facts SET value = value + ? WHERE name = 'thinned'", [len(out)])
        kept = [d for place, d in reversed(new.items()) if place < p]  # in the order they came
        return [replace(d, pass_probability=d.pass_probability * p) for d in kept]

    def _has_thinned(self) -> bool:
        return self.db.execute("SELECT max(id) FROM thinned").fetchone()[0] is not None

    def _thinned_before(self, place: float) -> bool:
        query = "SELECT 1 FROM thinned WHERE place = ?"
        return self.db.execute(query, [int(place * PLACES)]).fetchone() is not None

    def append_rewards(self, rewards: Sequence[Reward]) -> list[bool]:
        """Appends rewards, durable on return. True = new; False = a repeat, by reward_id or, where there is none, by
        kind and value.

        A repeat is kept among the rejects with reason 'duplicate'. Raises SpoolUnavailable once rewards fill their
        share of the log, until the shipper has made room."""
        refuse_impossible_times(r.at for r in rewards)
        rows = [(r.event_id, token(r), r.at, orjson.dumps(r)) for r in rewards]
        with self.transaction() as db:
            insert = f"INSERT OR IGNORE INTO rewards (event_id, token, at, body, seen) VALUES (?, ?, ?, ?, {LAST_ROW})"
            new = [db.execute(insert, row).rowcount == 1 for row in rows]
            sizes = (
                spool_quotas.reward_size(e, t, body) if is_new else 0
                for (e, t, _, body), is_new in zip(rows, new, strict=True)
            )
            if (size := sum(sizes)) and spool_quotas.add(db, size) > spool_quotas.REWARDS_SHARE * self.max_bytes:
                raise SpoolUnavailable(f"{self.path}: rewards fill their share of CROUPIER_SPOOL_MAX_BYTES")
            if not all(new):
                repeats = [row for row, is_new in zip(rows, new, strict=True) if not is_new]
                found = [Reject("reward", "event_id", body, DUPLICATE, at) for _, _, at, body in repeats]
                spool_quotas.keep_or_count(db, found, self.max_bytes)
        return new

    def append_rejects(self, rejects: Sequence[tuple[str, str, bytes, str, int] | Reject]) -> None:
        """Appends (kind, field, raw, reason, at) of events that broke the contract, durable on return; raw is cut at 64
        KiB, or shorter where many are kept already (spool_quotas.py)."""
        with self.transaction() as db:
            found = [r if isinstance(r, Reject) else Reject(*r) for r in rejects]
            spool_quotas.keep_or_count(db, found, self.max_bytes)

    def find(self, event_ids: Sequence[str]) -> dict[str, Decision]:
        """The stored decisions of these events; unknown ones are left out."""
        with self.reading():
            return self._find(event_ids)

    def read(self, kind: Kind, after: int = 0, limit: int = 10_000, *, last: int = 2**62) -> list[tuple[int, bytes]]:
        """Returns (row id, JSON body) in order of arrival, after < row id <= last, at most `limit`."""
        with self.reading() as db:
            query = f"SELECT id, body FROM {kind} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
            return db.execute(query, (after, last, limit)).fetchall()

    def counts(self) -> dict[str, int]:
        """Events ever received: decisions, rewards, rejects (repeats among them), and decisions thinned at the cap.
        What another host received and passed on (passed_on.py) is counted there."""
        with self.reading() as db:
            facts = dict(db.execute("SELECT name, value FROM facts").fetchall())
            here = {kind: db.execute(f"SELECT count(*) FROM {kind}").fetchone()[0] for kind in KINDS}
            here["rewards"] -= _passed_on(db)
        counts = {kind: here[kind] + facts.get(f"pruned_{kind}", 0) for kind in KINDS}
        counts["rejects"] += spool_quotas.counted(facts)
        return counts | {"thinned": facts["thinned"]}

    def unshipped(self) -> int:
        """Rows behind the shipper: the last row of each kind less the last one that a shipment took."""
        with self.reading() as db:
            return backlog.unshipped(db)

    def purge(self, deletions: Sequence[tuple[Kind, Sequence[int]]]) -> None:
        """Deletes rows for good: their bytes are overwritten in the file and gone from the write-ahead log."""
        with self.transaction() as db:
            for kind, rows in deletions:
                before = _passed_on(db)
                db.executemany(f"DELETE FROM {kind} WHERE id = ?", [(row,) for row in rows])
                db.execute("INSERT OR IGNORE INTO facts VALUES (?, 0)", [f"pruned_{kind}"])
                db.execute(
                    "UPDATE facts SET value = value + ? WHERE name = ?",
                    [len(rows) - (before - _passed_on(db)), f"pruned_{kind}"],
                )
        self.overwrite_deleted()

    def _room(self, size: int) -> float:
        """The pass probability of `size` more bytes of decisions: 1 below 80 % of max_bytes, then the share of the last
        20 % that is still free, at least 1/1024. The log is measured when this process has used a 64th of the room
        left, not at every call."""
        self._unmeasured -= size
        if self._unmeasured < 0:
            self._unmeasured = int(THIN_FROM * self.max_bytes - self._own_size()) // 64
            self._thinning = self._has_thinned()
        if self._unmeasured > 0:
            return 1.0
        free = (self.max_bytes - self._own_size()) / (self.max_bytes * (1 - THIN_FROM))
        return min(1.0, max(MIN_PASS, free))

    def _own_size(self) -> int:
        """Returns the bytes in use but for those of rewards and rejects."""
        return self._size() - sum(spool_quotas.used(self.db, kind) for kind in ("rewards", "rejects"))

    def _find(self, event_ids: Sequence[str]) -> dict[str, Decision]:
        found: list[tuple[str, bytes]] = []
        for start in range(0, len(event_ids), 500):
            some = event_ids[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT event_id, body FROM decisions WHERE event_id IN ({marks})"
            found += self.db.execute(query, some).fetchall()
        return {event_id: decision(body) for event_id, body in found}


def _inserted(db: sqlite3.Connection, rows: Sequence[tuple[str, int, bytes]]) -> int:
    """Inserts decisions, but for those that are there already, and returns how many were new."""
    new = 0
    for begin in range(0, len(rows), AT_ONCE):
        some = rows[begin : begin + AT_ONCE]
        values = ",".join(["(?, ?, ?)"] * len(some))
        insert = f"INSERT OR IGNORE INTO decisions (event_id, at, body) VALUES {values}"
        new += db.execute(insert, list(chain.from_iterable(some))).rowcount
    return new


def _passed_on(db: sqlite3.Connection) -> int:
    """How many of the rewards here another host received (passed_on.py)."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [PASSED_ON]).fetchone():
        return 0
    return int(db.execute("SELECT count(*) FROM rewards WHERE passed_on = 1").fetchone()[0])
