"""What changed after it was used: restated hours, and the verdicts that had read an older version of them.

A verdict (`verdicts/<key>.json`) names the features it was judged on; their `meta.json` names the version of every hour
they were made from, under `partitions`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from features.partitions import by_hour
from features.storage import Store
from features.versions import Version


@dataclass(frozen=True)
class Restatement:
    """An hour that got a new version; `used_by`: keys of the verdicts that read the version before it."""

    version: Version
    used_by: tuple[str, ...]


def restatements(store: Store) -> list[Restatement]:
    """All of them, by hour and version."""
    used = list(_verdicts(store))
    found = []
    for keys in by_hour(store.list("interactions/"), ".json").values():
        for key in keys[1:]:
            version = Version.load(store, key)
            readers = tuple(name for name, hours in used if 0 < hours.get(version.hour, 0) < version.version)
            found.append(Restatement(version, readers))
    return found


def _verdicts(store: Store) -> Iterator[tuple[str, dict[str, int]]]:
    """(verdict, hour → version it was made from)."""
    for key in store.list("verdicts/"):
        features = orjson.loads(store.get(key)).get("features", "")
        try:
            meta = orjson.loads(store.get(f"features/{features}/meta.json"))
        except KeyError:
            continue  # the features of an old verdict may have been deleted by retention
        yield key.removeprefix("verdicts/").removesuffix(".json"), meta.get("partitions", {})
