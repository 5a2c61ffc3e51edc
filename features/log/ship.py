"""Spool → hourly Parquet in the store, exactly once, through crashes and outages of the store.

A shipment is a range of spool rows, written down in the spool before anything leaves. Rows never change, so the objects
of a shipment are a pure function of it: whoever dies half-way is followed by someone who makes the very same objects,
and create-once writes make the second copy a no-op. Two shippers at once finish the same shipment.

Objects are keyed by the spool's own id, made once with its file: a host that is renamed, or a volume that moves to
another host, goes on; two hosts of one name have two ids. The host's name stands in the objects, for people.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from croupier.features.arrow import DECISIONS, REWARDS
from croupier.features.clock import now_us
from croupier.features.log import closings, left_out, passed_on, spool_quotas
from croupier.features.log.index import event_hours, receipts
from croupier.features.log.shipped import HOST
from croupier.features.log.spool import Spool
from croupier.features.log.spool_rows import KINDS, Kind, Reject, reject_row
from croupier.features.schema import ADDED, OPEN_ENDED
from croupier.features.store import layout, log_layout
from croupier.features.store.parquet import bytes_of, table_of
from croupier.features.store.storage import AlreadyExists, Store, StoreError
from croupier.features.utc import HOUR, hour_name

RECEIPTED = "receipted"  # the fact that all shipments of a spool have receipts
COPIED = (
    "two spools must not share a spool id: where a spool's file was copied to a second host, delete the copy there, "
    "and that host makes a new one"
)
ROWS = 50_000  # of one shipment: bounds memory, about 100 MB
REJECTS = pa.schema([("kind", pa.string()), ("field", pa.string()), ("raw", pa.string()), ("reason", pa.string()),
                     ("at", pa.int64())])  # fmt: skip
SCHEMAS: dict[Kind, pa.Schema] = {"decisions": DECISIONS, "rewards": REWARDS, "rejects": REJECTS}


class ShipError(StoreError):
    """An object of this name holds other rows: a spool's file was copied and both copies ship, or the store was
    tampered with."""


@dataclass
class ShipReport:
    """Rows and objects written (or found written already) by this call."""

    decisions: int = 0
    rewards: int = 0
    rejects: int = 0
    objects: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON."""
        return asdict(self)


def ship(spool: Spool, store: Store, *, host: str) -> ShipReport:
    """Ships everything that is in the spool now to the store. `host` is noted in the objects, and is in no key. Raises
    StoreUnavailable: call again, nothing is lost or doubled."""
    report = ShipReport()
    _give_receipts(spool, store)
    _report_thinned(spool)
    for kind in KINDS:
        end = last_row(spool, kind)
        while shipment := _next_shipment(spool, kind, end):
            first, last, begun = shipment
            keys = list[str]()
            made = list(shipment_objects(spool, kind, first, last))
            for name, table in made:
                _refuse_copied(store, name, table)  # of all hours, before anything is written
            for name, table in made:
                _index(store, kind, name, table)
                keys.append(_written(store, name) if begun else name)
                _create_once(store, keys[-1], _named(table, host))
                setattr(report, kind, getattr(report, kind) + table.num_rows)
            receipts.write(store, kind, spool=spool.id, first=first, last=last, objects=keys)
            report.objects += keys
            with spool.transaction() as db:
                db.execute("UPDATE shipments SET done = 1 WHERE kind = ? AND first = ?", [kind, first])
    return report


def _give_receipts(spool: Spool, store: Store) -> None:
    """Writes, once, the receipts of what an older croupier shipped from this spool, which gave none."""
    if spool.noted(RECEIPTED):
        return
    with spool.transaction() as db:
        ended = db.execute("SELECT kind, first, last FROM shipments WHERE done = 1").fetchall()
    for kind, first, last in ended:
        keys = [_written(store, key) for key, _ in shipment_objects(spool, kind, first, last)]
        receipts.write(store, kind, spool=spool.id, first=first, last=last, objects=keys)
    spool.note(RECEIPTED, 1)


KEPT = 7 * 24 * HOUR  # µs: what was shipped stays in the spool so long, for it answers repeated event ids


def prune(spool: Spool, store: Store, *, before: int | None = None) -> int:
    """Deletes shipped rows older than `before` (UTC µs of the event; default 7 days ago), once verified in the store,
    and the closings that ended windows of deleted decisions alone.

    Keep them longer than clients retry and rewards take: the spool is what answers a repeated event_id. Returns rows
    deleted; a whole shipment goes or stays."""
    cutoff = now_us() - KEPT if before is None else before
    query = """SELECT kind, first, last FROM shipments s WHERE done = 1 AND kind = ? AND NOT EXISTS
               (SELECT 1 FROM {} WHERE id BETWEEN s.first AND s.last AND at >= ?)"""
    deleted = 0
    if spool.noted("forgetting"):
        raise ShipError("a `croupier forget` was cut off on this host: run it again, or the DAG collect_events")
    for kind in KINDS:
        with spool.transaction() as db:
            old = db.execute(query.format(kind), [kind, cutoff]).fetchall()
        for _, first, last in old:
            for key, table in shipment_objects(spool, kind, first, last):
                _verify(store, key, table)
            others = len(passed_on.rows(spool, first, last)) if kind == "rewards" else 0
            with spool.transaction() as db:
                gone = db.execute(f"DELETE FROM {kind} WHERE id BETWEEN ? AND ?", [first, last]).rowcount - others
                db.execute("DELETE FROM shipments WHERE kind = ? AND first = ?", [kind, first])
                db.execute("INSERT OR IGNORE INTO facts VALUES (?, 0)", [f"pruned_{kind}"])
                db.execute("UPDATE facts SET value = value + ? WHERE name = ?", [gone, f"pruned_{kind}"])
                deleted += gone
    closings.prune(spool)
    return deleted


def _report_thinned(spool: Spool) -> None:
    """What the log did not keep since the last call, so that the account can name it: decisions that the cap thinned
    out, as one reject, rejects that were only counted, as one of each sort, and features that were left out."""
    with spool.transaction() as db:
        last = db.execute("SELECT at FROM decisions ORDER BY id DESC").fetchone()
        at = last[0] if last else 0
        for many in [*spool_quotas.unreported(db), *left_out.unreported(db, at or now_us())]:
            db.execute("INSERT INTO rejects (at, body) VALUES (?, ?)", reject_row(many))
        facts = dict(db.execute("SELECT name, value FROM facts").fetchall())
        count = facts["thinned"] - facts.get("thinned_reported", 0)
        if count:
            note = Reject("thinned", "", str(count).encode(), "the log was at its cap", at)
            db.execute("INSERT INTO rejects (at, body) VALUES (?, ?)", reject_row(note))
            db.execute("INSERT OR REPLACE INTO facts VALUES ('thinned_reported', ?)", [facts["thinned"]])


def last_row(spool: Spool, kind: Kind) -> int:
    """Returns the last row id of a kind of event; 0 where there is none."""
    with spool.transaction() as db:
        return int(db.execute(f"SELECT coalesce(max(id), 0) FROM {kind}").fetchone()[0])


def _next_shipment(spool: Spool, kind: Kind, end: int) -> tuple[int, int, bool] | None:
    """The first and last row of the oldest unfinished shipment, or of a new one of the rows up to `end` that no
    shipment holds yet; and whether it was begun before."""
    with spool.transaction() as db:
        query = "SELECT first, last FROM shipments WHERE kind = ? AND done = 0 ORDER BY first"
        unfinished = db.execute(query, [kind]).fetchone()
        if unfinished is not None:
            return int(unfinished[0]), int(unfinished[1]), True
        name = f"shipped_{kind}"
        row = db.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
        rows = db.execute(
            f"SELECT id FROM {kind} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", [row[0] if row else 0, end, ROWS]
        ).fetchall()
        if not rows:
            return None
        first, last = int(rows[0][0]), int(rows[-1][0])
        db.execute("INSERT INTO shipments VALUES (?, ?, ?, 0)", [kind, first, last])
        db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, last])
        return first, last, False


def shipment_objects(spool: Spool, kind: Kind, first: int, last: int) -> Iterator[tuple[str, pa.Table]]:
    """Yields (key, rows) of each hour in a shipment, in order of arrival."""
    others = passed_on.rows(spool, first, last) if kind == "rewards" else ()  # shipped by the host that received them
    bodies = [body for row, body in spool.read(kind, first - 1, last - first + 1, last=last) if row not in others]
    hours: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in orjson.loads(b"[" + b",".join(bodies) + b"]"):
        hours[hour_name(row["at"])].append(row)
    for hour, rows in sorted(hours.items()):
        key = log_layout.log_object(kind, hour, spool=spool.id, first=first, last=last)
        yield key, to_table(rows, SCHEMAS[kind])


def to_table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Makes an Arrow table of rows, with JSON as text and columns that older rows lack filled."""
    for name in set(OPEN_ENDED) & set(schema.names):
        for row in rows:
            if name in row:
                row[name] = orjson.dumps(row[name], option=orjson.OPT_SORT_KEYS).decode()
    for name in set(ADDED) & set(schema.names):
        for row in rows:
            row.setdefault(name, ADDED[name])
    return pa.Table.from_arrays([pa.array([row[f.name] for row in rows], f.type) for f in schema], schema=schema)


def _index(store: Store, kind: Kind, key: str, table: pa.Table) -> None:
    """Keeps, before the rows, what their event ids do not tell: whoever finds the rows finds this."""
    name = key.rpartition("/")[2]
    if kind == "decisions" and (rows := event_hours.foreign(table)) is not None:
        _create_once(store, f"{log_layout.log_hour(log_layout.FOREIGN, layout.hour_of(key))}{name}", rows)
    if kind == "rewards":
        for day, rows in event_hours.tardy(table).items():
            _create_once(store, log_layout.tardy(hour_name(day), layout.hour_of(key), name), rows)


def _named(table: pa.Table, host: str) -> pa.Table:
    return table.replace_schema_metadata({**(table.schema.metadata or {}), HOST: host.encode()})


def _refuse_copied(store: Store, key: str, table: pa.Table) -> None:
    """Raises ShipError where another object of this hour and spool has some of these row numbers: readers take the
    wider of the two for the merged one, and pass the other over. One that is merged indeed has these rows."""
    mine, folder = log_layout.rows_of(key), key.rpartition("/")[0]
    if mine is None:
        return
    for other in store.list(f"{folder}/{mine.spool}-"):
        rows = log_layout.rows_of(other)
        if other == key or rows is None or rows.last < mine.first or mine.last < rows.first:
            continue
        if not (rows.first <= mine.first and mine.last <= rows.last and _holds(store, other, table)):
            raise ShipError(f"{key}: found rows of these numbers in {other} of {store.url} already; {COPIED}")


def _written(store: Store, key: str) -> str:
    """The key under which these rows are in the store already: their own, or the one that an older croupier gave them,
    with the name of the host before the spool's id. Their own key where they are not there."""
    folder, _, name = key.rpartition("/")
    found = (other for other in store.list(f"{folder}/") if other.endswith(f"-{name}"))
    return next(found, key)


def _create_once(store: Store, key: str, table: pa.Table) -> None:
    try:
        store.create(key, bytes_of(table))
    except AlreadyExists:
        _verify(store, key, table)


def _verify(store: Store, key: str, table: pa.Table) -> None:
    """Rows, not bytes: another version of the Parquet writer may have written the first copy."""
    try:
        stored = _completed(table_of(_stored(store, key)), table.schema)
    except KeyError:
        if _is_merged(store, key, table):
            return
        raise ShipError(f"{key}: shipped, but not in the store {store.url}; restore it before pruning") from None
    if not stored.equals(table):
        raise ShipError(
            f"{key}: found {stored.num_rows} other rows in {store.url} than the {table.num_rows} of this spool; "
            f"{COPIED}"
        )


def _stored(store: Store, key: str) -> bytes:
    """Raises KeyError."""
    try:
        return store.get(key)
    except KeyError:
        return store.get(_written(store, key))


def _is_merged(store: Store, key: str, table: pa.Table) -> bool:
    """Whether an object that shipments were merged into (index/merge.py) holds each of these rows as often."""
    mine, folder = log_layout.rows_of(key), f"{key.rpartition('/')[0]}/"
    for other in store.list(folder):
        rows = log_layout.rows_of(other)
        if mine and rows and rows.spool == mine.spool and rows.first <= mine.first and mine.last <= rows.last:
            return _holds(store, other, table)
    return False


def _holds(store: Store, other: str, table: pa.Table) -> bool:
    """Whether this object holds each of these rows as often."""
    held = _completed(table_of(store.get(other)), table.schema).select(table.column_names)
    if "event_id" in table.column_names:  # else they are few
        held = held.filter(pc.is_in(held["event_id"], value_set=table["event_id"].combine_chunks()))
    return Counter(map(orjson.dumps, table.to_pylist())) <= Counter(map(orjson.dumps, held.to_pylist()))


def _completed(stored: pa.Table, schema: pa.Schema) -> pa.Table:
    """An object that an older croupier wrote, with the columns that came later."""
    for name in [n for n in schema.names if n in ADDED and n not in stored.column_names]:
        column = pa.array([ADDED[name]] * len(stored), schema.field(name).type)
        stored = stored.append_column(schema.field(name), column)
    return stored
