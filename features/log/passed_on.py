"""Rewards of this host's decisions that another host received, and passed on (serving/fleet).

They stand among the rewards, marked: who learns from the log reads them as if they had been sent here. They are not
shipped, since the host that received them ships them, and the log has every reward once.
"""

from collections.abc import Collection, Sequence
from typing import Any

import orjson

from croupier.features.log import spool_quotas
from croupier.features.log.spool import LAST_ROW, PASSED_ON, Spool
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.log.spool_rows import token
from croupier.features.schema import Reward

AT_ONCE = 500  # event ids of one statement


def take(spool: Spool, rewards: Sequence[Reward], notes: dict[str, Any]) -> int:
    """Puts on record the rewards that are not yet, and keeps `notes` as facts of the spool, together; durable on
    return. Returns how many rewards were new: one that was sent here too is there already. Raises SpoolUnavailable,
    and then nothing is kept: once rewards fill their share of the log, as for those that are sent here."""
    rows = [(r.event_id, token(r), r.at, orjson.dumps(r)) for r in rewards]
    with spool.transaction() as db:
        insert = f"""INSERT OR IGNORE INTO rewards (event_id, token, at, body, seen, passed_on)
                     VALUES (?, ?, ?, ?, {LAST_ROW}, 1)"""
        if rows:
            db.execute(f"CREATE INDEX IF NOT EXISTS {PASSED_ON} ON rewards (id) WHERE passed_on = 1")
        new = [row for row in rows if db.execute(insert, row).rowcount == 1]
        size = sum(spool_quotas.reward_size(e, t, body) for e, t, _, body in new)
        if size and spool_quotas.add(db, size) > spool_quotas.REWARDS_SHARE * spool.max_bytes:
            raise SpoolUnavailable(f"{spool.path}: rewards fill their share of CROUPIER_SPOOL_MAX_BYTES")
        db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", notes.items())
    return len(new)


def rows(spool: Spool, first: int, last: int) -> set[int]:
    """The rows of rewards from `first` to `last` that were passed on to this host."""
    with spool.reading() as db:
        query = "SELECT id FROM rewards WHERE passed_on = 1 AND id BETWEEN ? AND ?"
        return {row[0] for row in db.execute(query, [first, last]).fetchall()}


def decided_here(spool: Spool, event_ids: Collection[str]) -> set[str]:
    """Those of these events whose decision is in this spool."""
    asked, found = list(event_ids), set[str]()
    with spool.reading() as db:
        for start in range(0, len(asked), AT_ONCE):
            some = asked[start : start + AT_ONCE]
            query = f"SELECT event_id FROM decisions WHERE event_id IN ({','.join('?' * len(some))})"
            found |= {row[0] for row in db.execute(query, some).fetchall()}
    return found


def first_since(spool: Spool, at: int) -> int:
    """The row before the first reward stamped at or after `at` (UTC µs); the last row where there is none."""
    with spool.reading() as db:
        found = db.execute("SELECT min(id) FROM rewards WHERE at >= ?", [at]).fetchone()[0]
        last = db.execute("SELECT coalesce(max(id), 0) FROM rewards").fetchone()[0]
    return int(last if found is None else found - 1)
