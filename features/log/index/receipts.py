"""What was shipped since somebody last looked: one small object a shipment, written behind its rows, before its end.

    ledger/shipped/decisions-<spool>-<first>-<last>.json    {"objects": [keys]}

Whoever acts on new events (restate.py) lists these, and nothing else; he deletes what he has acted on. So a look grows
with what has come, never with what is kept. A receipt that is seen twice does no harm: the same hours are joined again.
A shipment that died between its rows and its receipt is finished by the next shipper, receipt included.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

import orjson

from croupier.features.log.spool_rows import KINDS, Kind
from croupier.features.store import layout, log_layout
from croupier.features.store.storage import AlreadyExists, Store


def write(store: Store, kind: Kind, *, spool: str, first: int, last: int, objects: Sequence[str]) -> None:
    """Says that the rows `first` to `last` of a spool are in these objects."""
    with suppress(AlreadyExists):
        store.create(log_layout.receipt(kind, spool, first, last), orjson.dumps({"objects": list(objects)}))


def unseen(store: Store) -> list[str]:
    """The keys of the receipts that nobody has deleted yet."""
    return store.list(layout.SHIPPED)


def objects(store: Store, receipts: Iterable[str]) -> dict[str, list[str]]:
    """Returns kind → keys of the objects that these receipts name. One that another look deleted meanwhile is passed
    over."""
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for key in receipts:
        raw, version = store.read(key)
        if version is not None:
            found[log_layout.receipt_kind(key)] += orjson.loads(raw)["objects"]
    return found
