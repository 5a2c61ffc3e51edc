"""Decisions that were made and not shown yet: they wait, in the spool's own file, and are no events until activated.

    made, deferred ─▶ waits, on disk ─▶ activate: a decision of the log, with the time and the pmf that it was made with
                                     ─▶ too old: forgotten, and counted

An app that ranks ahead of time (Personalizer's deferActivation) may never show what it asked for. Such a decision has
no reward, and training on it would count "nobody saw it" as "nobody liked it".
"""

from collections.abc import Collection, Mapping, Sequence

from croupier.features.log import left_out
from croupier.features.log.spool import Spool
from croupier.features.log.spool_rows import decision, decision_row
from croupier.features.schema import Decision

EXPIRED = "deferred_expired"  # the fact that counts those that nobody activated in time


_TABLES = (
    "CREATE TABLE IF NOT EXISTS deferred (event_id TEXT PRIMARY KEY, at INTEGER, body BLOB)",
    "CREATE INDEX IF NOT EXISTS deferred_at ON deferred (at)",
)


class Deferring:
    """Stands in the place of the log where decisions are deferred; `since`: those made before it (UTC µs) have expired.

    Durable when a call returns. Raises SpoolUnavailable. Only logs of apps that defer have room for it."""

    def __init__(self, spool: Spool, *, since: int) -> None:
        self._spool, self._since = spool, since
        if not _deferring(spool):
            with spool.transaction() as db:
                for table in _TABLES:
                    db.execute(table)

    def append_decisions(
        self, decisions: Sequence[Decision], undeclared: Mapping[str, int] | None = None
    ) -> list[Decision]:
        """Keeps decisions until they are activated. One whose event is in the log, or waits already, is returned as it
        was first."""
        expire(self._spool, self._since)
        stored = self._spool.find([d.event_id for d in decisions])
        with self._spool.transaction() as db:
            left_out.count(db, undeclared or {})
            for each in decisions:
                if each.event_id not in stored:
                    row = decision_row(each)
                    added = db.execute("INSERT OR IGNORE INTO deferred (event_id, at, body) VALUES (?, ?, ?)", row)
                    query = "SELECT body FROM deferred WHERE event_id = ?"
                    stored[each.event_id] = (
                        each if added.rowcount else decision(db.execute(query, [each.event_id]).fetchone()[0])
                    )
        return [stored[d.event_id] for d in decisions]

    def append_rejects(self, rejects: Sequence[tuple[str, str, bytes, str, int]]) -> None:
        """Puts refused events on record, in the log itself."""
        self._spool.append_rejects(rejects)


def activate(spool: Spool, event_id: str, *, since: int) -> bool:
    """Puts a decision that waits into the log, as it was made. True if it is there when the call returns, False where
    no decision of this event is known, or it was made before `since` (UTC µs) and has expired.

    A crash on the way leaves it in both places, which is mended by the next call, and harmless: the log has each event
    once."""
    return bool(show(spool, [event_id], since=since)) or bool(spool.find([event_id]))


def show(spool: Spool, event_ids: Sequence[str], *, since: int) -> list[str]:
    """Activates those of these events that wait, all in one write; `since` as of `activate`. Returns their ids."""
    waiting = find(spool, event_ids, since=since)
    if waiting:
        spool.append_decisions(list(waiting.values()))
        drop(spool, list(waiting))
    return list(waiting)


def find(spool: Spool, event_ids: Sequence[str], *, since: int) -> dict[str, Decision]:
    """The decisions of these events that wait, in the order they came; `since` as of `activate`."""
    if not event_ids or not _deferring(spool):
        return {}
    with spool.reading() as db:
        query = f"SELECT event_id, body FROM deferred WHERE event_id IN ({','.join('?' * len(event_ids))}) AND at >= ?"
        query += " ORDER BY rowid"
        return {event_id: decision(body) for event_id, body in db.execute(query, [*event_ids, since])}


def drop(spool: Spool, event_ids: Sequence[str]) -> None:
    """Lets go of decisions that wait, since they are in the log."""
    with spool.transaction() as db:
        db.executemany("DELETE FROM deferred WHERE event_id = ?", [(event_id,) for event_id in event_ids])


def below(spool: Spool, event_id: str, *, since: int) -> list[str]:
    """The events EVENT_ID/… that wait: the slots of one page. `since` as of `activate`."""
    if not _deferring(spool):
        return []
    ends = [f"{event_id}/", f"{event_id}0", since]  # 0 comes after / in every encoding of text
    with spool.reading() as db:
        query = "SELECT event_id FROM deferred WHERE event_id > ? AND event_id < ? AND at >= ? ORDER BY event_id"
        return [row[0] for row in db.execute(query, ends)]


def expire(spool: Spool, since: int) -> int:
    """Forgets those made before `since` (UTC µs), and counts them. Returns how many they were."""
    if not _deferring(spool):
        return 0
    with spool.reading() as db:
        if not db.execute("SELECT 1 FROM deferred WHERE at < ? LIMIT 1", [since]).fetchone():
            return 0
    with spool.transaction() as db:
        gone = db.execute("DELETE FROM deferred WHERE at < ?", [since]).rowcount
        db.execute("INSERT OR IGNORE INTO facts VALUES (?, 0)", [EXPIRED])
        db.execute("UPDATE facts SET value = value + ? WHERE name = ?", [gone, EXPIRED])
    return gone


def waiting(spool: Spool) -> int:
    """How many wait for their activation."""
    if not _deferring(spool):
        return 0
    with spool.reading() as db:
        return int(db.execute("SELECT count(*) FROM deferred").fetchone()[0])


def forget(spool: Spool, unit_id: str, event_ids: Collection[str]) -> int:
    """Deletes what waits of a unit (its hash), or of these events. Returns how many they were."""
    if not _deferring(spool):
        return 0
    with spool.reading() as db:
        bodies = db.execute("SELECT event_id, body FROM deferred").fetchall()
    doomed = [[event] for event, body in bodies if event in event_ids or decision(body).unit_id == unit_id]
    if doomed:
        with spool.transaction() as db:
            db.executemany("DELETE FROM deferred WHERE event_id = ?", doomed)
    return len(doomed)


def _deferring(spool: Spool) -> bool:
    """Whether any decision was ever deferred in this log."""
    with spool.reading() as db:
        return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'deferred'").fetchone())
