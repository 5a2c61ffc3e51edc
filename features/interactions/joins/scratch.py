"""What the shards of an hour come to, in the store, from the machines that join them to the one that merges them.

A plan is one join of some hours by shards: its name is in all its keys, and whoever made it deletes them when it ends.
So what a killed join leaves behind is never joined into another; it is deleted once it is a day old.
"""

import socket
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from croupier.features.interactions.joins.sharded import HourPart
from croupier.features.interactions.versions import digest
from croupier.features.log.shipped import LogRewritten, ShippedLog
from croupier.features.store import layout, result_layout
from croupier.features.store.storage import AlreadyExists, Store
from croupier.features.utc import DAY


def new_plan(now: int) -> str:
    """Returns a name that no other plan has; `now` in UTC µs."""
    return f"{now}-{uuid.uuid4().hex}"


def keep(log: ShippedLog, plan: str, hour: str, number: int, part: HourPart) -> HourPart:
    """Writes the files of a shard's part, which came of `log`, into the store. Returns the part with their keys. Raises
    LogRewritten where a unit was forgotten meanwhile."""
    keys = []
    for path, suffix in ((Path(part.data), layout.PARQUET), (Path(part.late), layout.LATE)):
        keys.append(result_layout.shard_rows(plan, hour, number, digest(path), suffix))
        with suppress(AlreadyExists):  # the job ran twice, and came to the same
            log.store.create(keys[-1], path)
    if not log.is_as_read():
        for key in keys:
            log.store.delete(key)
        raise LogRewritten(f"{hour}: a unit was forgotten while its shard {number} was joined; join again")
    return replace(part, data=keys[0], late=keys[1])


def fetch(store: Store, parts: Sequence[HourPart], folder: Path) -> list[HourPart]:
    """Brings the files of parts to this host. Returns the parts with their paths. Raises ValueError where one is not in
    the store."""
    keys = [key for part in parts for key in (part.data, part.late)]
    try:
        paths = store.fetch(keys, folder)
    except KeyError as error:
        paths = [folder / str(error.args[0])]
    if missing := [path for path in paths if not path.exists()]:
        raise ValueError(
            f"store: found no {missing[0].name} in {store.url} on {socket.gethostname()}, expected what a shard came "
            "to: every machine of the cluster must see the same store, S3 or a folder that all have mounted"
        )
    return [replace(part, data=str(a), late=str(b)) for part, a, b in zip(parts, paths[::2], paths[1::2], strict=True)]


def drop(store: Store, plan: str) -> None:
    """Deletes what the shards of a plan came to."""
    for key in store.list(result_layout.shards_of(plan)):
        store.delete(key)


def sweep(store: Store, *, now: int) -> None:
    """Deletes what killed joins left behind more than a day before `now` (UTC µs)."""
    for key in store.list(result_layout.SHARDS):
        if result_layout.shards_begun(key) < now - DAY:
            store.delete(key)
