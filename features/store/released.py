"""What the store says of releases: which one is current, and what each says of itself.

`releases/current` is {"number", "digest"}; a release's `manifest.json` is sealed by its digest. serving/release writes
both; whoever trains, judges or encodes reads them here, and takes no other part of a release for granted.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import orjson

from croupier.features.store import layout
from croupier.features.store.storage import Store

# Why a release was made, as `kind` of its manifest's `meta` and of a verdict: a better family, the champion's own
# family retrained, a candidate that everybody has, other arms, another candidate that is explored toward.
PROMOTION, REFRESH, SUCCESSION, CATALOGUE = "promotion", "refresh", "succession", "catalogue"
EXPLORATION = "exploration"


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """The release that every host should serve, and the digest of its manifest ("" in stores of the first version)."""

    number: int
    digest: str = ""

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        row = orjson.loads(raw)
        return cls(number=int(row["number"]), digest=str(row.get("digest", "")))


def pointer(store: Store) -> tuple[Pointer | None, str | None]:
    """The pointer, None before the first release, and the version to swap it by."""
    raw, version = store.read(layout.CURRENT)
    return (Pointer.from_json(raw) if raw else None), version


def current(store: Store) -> int | None:
    """The number of the current release; None before the first."""
    found, _ = pointer(store)
    return None if found is None else found.number


def manifest(store: Store, number: int) -> dict[str, Any]:
    """What a release says of itself. Raises KeyError where there is none of that number."""
    return dict(orjson.loads(store.get(layout.release(number, layout.MANIFEST))))


def numbers(store: Store) -> list[int]:
    """The whole releases, oldest first: those that have a manifest."""
    return layout.release_numbers(store.list(layout.RELEASES), layout.MANIFEST)
