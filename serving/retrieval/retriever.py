"""A release's index and what it lists: `retrieval/index.safetensors`, whose digest the manifest has.

A request that lists no arms is decided among the top ones for its embedding and some random ones, by the release alone,
so that champion and candidate decide among the same. Its decision has the list as its arms, and says in `retrieved` how
many of them came first by the index, how many were drawn, and of how many: "90+10 of 50000"."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save_file

from croupier.features.declared.retrieval import RetrievalSpec
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.store import layout
from croupier.models.retrieval.shortlist import Shortlist, shortlist

if TYPE_CHECKING:
    from croupier.models.retrieval.arm_index import ArmIndex

ENTRY = "retrieval"  # of a manifest


def write(draft: Path, spec: RetrievalSpec, arms: Sequence[Arm]) -> dict[str, Any]:
    """Writes the index of a catalogue into a release; returns the manifest's entry, {} where nothing is declared.
    Raises ValueError naming an arm without its embedding."""
    if not spec.declared:
        return {}
    from croupier.models.retrieval.arm_index import arrays_of  # an extra

    if found := problems(spec, arms):
        raise ValueError(found[0])
    vectors = [arm.features[spec.arm] for arm in arms]
    (draft / layout.RETRIEVAL).mkdir()
    save_file(arrays_of(np.array(vectors, np.float32)), draft / layout.RETRIEVAL / layout.INDEX)
    return {ENTRY: spec.model_dump(mode="json")}


def held(manifest: Mapping[str, Any]) -> RetrievalSpec:
    """What a release declares: for one that is made of it."""
    return RetrievalSpec.model_validate(manifest.get(ENTRY, {}))


def problems(spec: RetrievalSpec, arms: Sequence[Arm]) -> list[str]:
    """What keeps a catalogue from being retrieved from, a sentence: the first arm without an embedding like others'."""
    length = 0
    for arm in arms if spec.declared else ():
        found = arm.features.get(spec.arm)
        if not isinstance(found, list | tuple) or not found or len(found) != (length or len(found)):
            expected = f"{length} numbers, as of other arms" if length else "a list of numbers"
            return [f"arm {arm.arm_id}: found {spec.arm} = {found!r:.60}, expected {expected}, which retrieval needs"]
        length = len(found)
    return []


def sentences(spec: RetrievalSpec, arms: int) -> list[str]:
    """What is understood, for people: how many arms a request that lists none is decided among."""
    if not spec.declared:
        return []
    top = min(spec.top, arms)
    others = min(spec.random, arms - top)
    return [
        (
            f"retrieval: a request that lists no arms is decided among {top} of {arms:,}, by {spec.arm} and its own "
            f"{spec.context}, and {others} drawn of the other {arms - top:,}"
        )
    ]


class Retriever:
    """What lists arms for requests that list none."""

    def __init__(self, spec: RetrievalSpec, index: "ArmIndex", ids: Sequence[str], salt: str) -> None:
        self._spec, self._index, self._ids, self._salt = spec, index, ids, salt

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], arms: Sequence[Arm]) -> "Retriever | None":
        """That of a verified release; None where it has none."""
        if ENTRY not in manifest:
            return None
        from croupier.models.retrieval.arm_index import ArmIndex  # an extra

        index = ArmIndex.of_arrays(load_file(folder / layout.RETRIEVAL / layout.INDEX))
        spec = RetrievalSpec.model_validate(manifest[ENTRY])
        return cls(spec, index, [arm.arm_id for arm in arms], manifest["salt"])

    def listed(self, context: Mapping[str, Any], event_id: str) -> tuple[tuple[str, ...], str]:
        """The arms of an event, and what its decision says of them. Raises InvalidEvent where the request has no
        embedding."""
        found = self.shortlist(context, event_id)
        ids = tuple(self._ids[row] for row in found.rows.tolist())
        return ids, f"{found.top}+{len(ids) - found.top} of {found.arms}"

    def shortlist(self, context: Mapping[str, Any], event_id: str) -> Shortlist:
        """The rows of an event's arms. Raises InvalidEvent as `listed` does."""
        arms = len(self._ids)
        top = self._index.search(self._query(context), min(self._spec.top, arms))[0]
        return shortlist(top, arms, self._spec.random, salt=self._salt, event_id=event_id)

    def _query(self, context: Mapping[str, Any]) -> Any:
        given, length = context.get(self._spec.context), self._index.length
        if isinstance(given, list | tuple) and len(given) == length and {int, float}.issuperset(map(type, given)):
            query = np.array([given], np.float32)
            if np.isfinite(query).all():
                return query
        name = f"context.{self._spec.context}"
        raise InvalidEvent(name, given, f"{length} numbers: arms are retrieved by it where a request lists none")
