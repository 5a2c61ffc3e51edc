"""Small objects of a closed hour made one, spool by spool: what lists and reads an hour has few objects to open.

A shipment of every minute makes sixty objects an hour. Those of one spool are merged, in order, into one that is named
by the first row and the last: `<spool>-<first>-<last>.parquet`. Its name says which others it holds: those of the same
spool whose rows lie within its own. Readers pass these over (`whole`), so it counts from the moment that it is there,
and a later run deletes them. It is a function of what it holds and created once: a crash leaves all of it or nothing,
two at once make the same, and a shipper that dies and writes a merged object again changes nothing. Shipments of a
spool are shipped in order, so nothing can come later between the rows of a merged one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import pyarrow as pa

from croupier.features.store import layout, log_layout
from croupier.features.store.log_layout import FOREIGN
from croupier.features.store.parquet import bytes_of, table_of
from croupier.features.store.partitions import keys_between, whole
from croupier.features.store.storage import AlreadyExists, Store
from croupier.features.utc import HOUR

MERGED = ("decisions", "rewards", "rejects", FOREIGN)  # kinds
MOST_ROWS = 200_000  # of a merged object, about: bounds memory
FEWEST = 3  # objects that are worth a merge
CLOSED, LOOKED_AT = 2, 26  # hours after which an hour is merged, and after which it is no longer looked at


def merge(store: Store, *, now: int) -> dict[str, int]:
    """Merges the hours that closed lately, and deletes what an earlier run has merged. Safe to repeat, and to run twice
    at once. `now`: UTC µs. Returns how many objects were made, and how many deleted."""
    made = deleted = 0
    for kind in MERGED:
        keys = keys_between(store, layout.log_of(kind), now - LOOKED_AT * HOUR, now - CLOSED * HOUR)
        hours = defaultdict[str, list[str]](list)
        for key in keys:
            hours[layout.hour_of(key)].append(key)
        for found in hours.values():
            there = whole(found)
            for key in set(found) - set(there):
                store.delete(key)
                deleted += 1
            made += sum(_merged(store, run) for run in _runs(there))
    return {"made": made, "deleted": deleted}


def _runs(keys: Iterable[str]) -> Iterator[list[tuple[str, log_layout.RowRange]]]:
    """Yields the objects of one spool that belong into one, in order of their rows."""
    spools = defaultdict[str, list[tuple[str, log_layout.RowRange]]](list)
    for key in keys:
        if rows := log_layout.rows_of(key):
            spools[rows.spool].append((key, rows))
    for found in spools.values():
        run: list[tuple[str, log_layout.RowRange]] = []
        for key, rows in sorted(found, key=lambda each: each[1].first):
            if run and rows.last - run[0][1].first >= MOST_ROWS:
                yield run
                run = []
            run.append((key, rows))
        yield run


def _merged(store: Store, run: Sequence[tuple[str, log_layout.RowRange]]) -> bool:
    """Writes the one object of a run. False where there is too little to merge, or a unit was forgotten meanwhile."""
    if len(run) < FEWEST:
        return False
    epoch = store.read(layout.EPOCH)[1]
    tables = [table_of(store.get(key)) for key, _ in run]
    metadata = tables[-1].schema.metadata  # the name of the host as it was last
    table = pa.concat_tables(tables, promote_options="default").replace_schema_metadata(metadata)
    rows = log_layout.log_rows(run[0][1].spool, run[0][1].first, run[-1][1].last)
    key = layout.beside(run[0][0], rows)
    with suppress(AlreadyExists):
        store.create(key, bytes_of(table))
    if store.read(layout.EPOCH)[1] == epoch:
        return True
    store.delete(key)  # it may hold what was forgotten; what it was made of is still there
    return False
