"""When reward windows closed, on record beside the log, so that who learns from a window's end does so once.

A closing is a row of the spool: "of the decisions up to row `decisions`, those made at or before `before` are over, and
the rewards up to row `rewards` had come by then". With each reward stands the last decision row at its arrival. Both
make what a reader concludes, and in which order, a function of the file alone, whoever reads it and whenever. Closings
only move on: a clock set back closes nothing twice, and one set ahead closes windows early, which later rewards mend.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import orjson

from croupier.features.log.spool import Spool
from croupier.features.log.spool_rows import decision
from croupier.features.schema import Decision, Reward

DUE = 2000  # decisions that one closing ends, about: bounds the memory of its reader
_LAST = "coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{}'), 0)"
_ANY_TIME = 2**62  # rewards of an older spool: their decision counts as known when they came


@dataclass(frozen=True, slots=True)
class Closing:
    """One row. Decisions with row id ≤ `decisions` and `at` ≤ `before` (UTC µs) are closed by it, or were before."""

    id: int = 0
    rewards: int = 0
    decisions: int = 0
    before: int = 0

    def covers(self, row: int, at: int) -> bool:
        """True if the decision of this row, made at `at` (UTC µs), is closed."""
        return row <= self.decisions and at <= self.before


@dataclass(frozen=True, slots=True)
class Arrival:
    """A reward, its row, and the last decision row when it came."""

    row: int
    seen: int
    reward: Reward


def index_times(spool: Spool) -> None:
    """Makes the index that finds what is due; only apps that learn from closings pay for it."""
    with spool.transaction() as db:
        db.execute("CREATE INDEX IF NOT EXISTS decisions_at ON decisions (at)")


def close_windows(spool: Spool, before: int) -> bool:
    """Closes the windows of about DUE decisions made at or before `before`. Durable on return; False: none was due."""
    with spool.transaction() as db:
        last = Closing(*(db.execute("SELECT * FROM closings ORDER BY id DESC LIMIT 1").fetchone() or ()))
        before = max(before, last.before)
        due = _due(spool, last, Closing(0, 0, 2**62, before), b'"release":')
        if not due:
            return False
        if len(due) > DUE:
            before = max(last.before, sorted(at for _, at, _ in due)[DUE - 1])
        row = f"{_LAST.format('rewards')}, {_LAST.format('decisions')}, ?"
        db.execute(f"INSERT INTO closings (rewards, decisions, before) SELECT {row}", [before])
    return True


def prune(spool: Spool) -> int:
    """Deletes the closings of which every decision has been pruned, but never the newest. Returns how many.

    What is left gives readers the same steps: a closing matters only to decisions that it covers. Both of its bounds
    rise from closing to closing, so those that cover nothing any more are the oldest, and bisection finds the last."""
    with spool.transaction() as db:
        oldest, newest = db.execute("SELECT min(id), max(id) FROM closings").fetchone()
        if newest is None:
            return 0
        kept, end = oldest, newest  # the first one that stays lies between
        while kept < end:
            middle = (kept + end) // 2
            covered = """SELECT EXISTS (SELECT 1 FROM decisions d, closings c WHERE d.id <= c.decisions AND
                         d.at <= c.before AND c.id = (SELECT max(id) FROM closings WHERE id <= ?))"""
            kept, end = (kept, middle) if db.execute(covered, [middle]).fetchone()[0] else (middle + 1, end)
        return db.execute("DELETE FROM closings WHERE id < ?", [kept]).rowcount


def next_closing(spool: Spool, after: int) -> Closing | None:
    """Returns the first closing after the one of this number; None where there is none yet."""
    with spool.reading() as db:
        row = db.execute("SELECT * FROM closings WHERE id > ? ORDER BY id LIMIT 1", [after]).fetchone()
    return Closing(*row) if row else None


def closing(spool: Spool, number: int) -> Closing:
    """The closing of this number; 0: the one before all."""
    with spool.reading() as db:
        row = db.execute("SELECT * FROM closings WHERE id = ?", [number]).fetchone()
    return Closing(*row) if row else Closing()


def closed_between(
    spool: Spool, last: Closing, this: Closing, releases: Collection[int] | None = None
) -> list[tuple[int, Decision]]:
    """Returns (row, decision) of these releases, or of all, that `this` closes and `last` did not, in order of row."""
    one = next(iter(releases)) if releases is not None and len(releases) == 1 else None
    with spool.reading():
        due = sorted(_due(spool, last, this, b'"release":' if one is None else b'"release":%d,' % one))
    found = ((row, decision(body)) for row, _, body in due)
    return [(row, d) for row, d in found if releases is None or d.release in releases]


def _due(spool: Spool, last: Closing, this: Closing, mark: bytes) -> list[tuple[int, int, bytes]]:
    """Returns (row, at, body) of what `this` covers and `last` does not: newly old enough, or newly arrived."""
    old = "SELECT id, at, body FROM decisions WHERE at > ? AND at <= ? AND id <= ? AND instr(body, ?) ORDER BY at"
    new = "SELECT id, at, body FROM decisions WHERE id > ? AND id <= ? AND at <= ? AND instr(body, ?)"
    bound = "" if this.id else f" LIMIT {DUE + 1}"
    aged = spool.db.execute(old + bound, [last.before, this.before, last.decisions, mark]).fetchall()
    return aged + spool.db.execute(new + bound, [last.decisions, this.decisions, this.before, mark]).fetchall()


def arrivals(spool: Spool, after: int, limit: int) -> list[Arrival]:
    """Rewards after row `after`, in order of arrival."""
    with spool.reading() as db:
        query = "SELECT id, seen, body FROM rewards WHERE id > ? ORDER BY id LIMIT ?"
        return [_arrival(*row) for row in db.execute(query, [after, limit]).fetchall()]


def arrivals_of(spool: Spool, event_ids: Sequence[str]) -> dict[str, list[Arrival]]:
    """Returns the rewards of these events, in order of arrival; events without any have an empty list."""
    found: dict[str, list[Arrival]] = {event_id: [] for event_id in event_ids}
    with spool.reading() as db:
        for event_id in found:
            query = "SELECT id, seen, body FROM rewards WHERE event_id = ? ORDER BY id"
            found[event_id] = [_arrival(*row) for row in db.execute(query, [event_id]).fetchall()]
    return found


def decisions_of(spool: Spool, event_ids: Sequence[str]) -> dict[str, tuple[int, Decision]]:
    """Returns (row, decision) of these events; unknown ones are left out."""
    found = {}
    with spool.reading() as db:
        for event_id in event_ids:
            row = db.execute("SELECT id, body FROM decisions WHERE event_id = ?", [event_id]).fetchone()
            if row:
                found[event_id] = (row[0], decision(row[1]))
    return found


def _arrival(row: int, seen: int | None, body: bytes) -> Arrival:
    return Arrival(row, _ANY_TIME if seen is None else seen, Reward(**orjson.loads(body)))
