"""A store that counts what is asked of it, in the two prices of S3."""

from collections import Counter
from typing import Any

from croupier.features.store.storage import Store

READS = {"get", "read"}
WRITES = {"put", "create", "swap", "list", "between"}  # a listing costs what a write costs; a deletion, nothing


class CountedStore:
    """Passes every call on to `store`; `calls` has how many of each price were made: "reads", "writes"."""

    def __init__(self, store: Store) -> None:
        self._store, self.calls = store, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in READS | WRITES:
            self.calls["reads" if name in READS else "writes"] += 1
        elif name == "fetch":
            return self._fetch
        return found

    def _fetch(self, keys: Any, folder: Any) -> Any:
        self.calls["reads"] += len(keys)
        return self._store.fetch(keys, folder)
