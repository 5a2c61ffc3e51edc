"""A release's index and what it lists: `retrieval/index.safetensors`, whose digest the manifest has.

A request that lists no arms is decided among the top ones for its embedding and some random ones, by the release alone,
so that champion and candidate decide among the same. Its decision has the list as its arms, and says in `retrieved` how
many of them came first by the index, how many were drawn, and of how many: "90+10 of 50000"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save_file

from croupier.features.batch import F32, Catalogue
from croupier.features.clock import now_us
from croupier.features.declared.retrieval import LEARNS, RetrievalSpec
from croupier.features.encoding.as_sent import flattened
from croupier.features.encoding.catalogue import NOT_YET, why_not
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.store import layout
from croupier.models.policy import Policy
from croupier.models.retrieval.hierarchy import ArmClusters
from croupier.models.retrieval.shortlist import Shortlist, shortlist
from croupier.serving.retrieval.own_lists import BEYOND, OwnLists, OwnQueries, embedding

if TYPE_CHECKING:
    from croupier.models.retrieval.arm_index import ArmIndex

ENTRY, BY = "retrieval", "retrieved_by"  # of a manifest; the latter: by the embeddings of the policy in this role
PROBED_OF_OWN = 2  # every other list is looked through: with one in four recall was .885 for LinTS among 200,000 arms
ROWS = "rows"  # of the index: which arms of the catalogue it has; releases of before have all
LARGEST = 1e18  # of an embedding's numbers: products of two stay finite in single precision
_NUMBERS = frozenset({int, float})


@dataclass(frozen=True)
class Decides:
    """What decides in a release: the policies by role, the champion first, the encoder, and the arms as it has them."""

    roles: Mapping[str, Policy]
    encoder: Encoder
    catalogue: Catalogue

    def lists(self, role: str, rows: Sequence[int]) -> OwnLists:
        """What the policy of a role lists of the rows of the catalogue."""
        return OwnLists.of(self.roles[role], self.encoder, self.catalogue, rows)


def write(draft: Path, spec: RetrievalSpec, arms: Sequence[Arm], decides: Decides) -> dict[str, Any]:
    """Writes the index of a catalogue into a release; returns the manifest's entries, {} where nothing is declared.
    Arms that are retired or paused now are not in it, since they would take the places of others. Raises ValueError
    naming an arm without its embedding. `decides`: by whose embeddings, where they are learnt."""
    if not spec.declared:
        return {}
    from croupier.models.retrieval.arm_index import arrays_of, clusters_of  # an extra

    refuse(spec, arms)
    rows = indexed(arms)
    if spec.learnt:
        role = embedding(decides.roles)
        arrays = arrays_of(decides.lists(role, rows).vectors()) if role else {}
        _save(draft, arrays, rows)
        return {ENTRY: spec.model_dump(mode="json"), BY: role}
    vectors = np.array([_embedding(arms[row].features, spec.arm) for row in rows], np.float32)
    in_clusters = clusters_of(vectors, spec.clusters).arrays() | {"vectors": vectors} if spec.clusters else None
    arrays = in_clusters or arrays_of(vectors)
    _save(draft, arrays, rows)
    return {ENTRY: spec.model_dump(mode="json")}


def _save(draft: Path, arrays: Mapping[str, Any], rows: Sequence[int]) -> None:
    (draft / layout.RETRIEVAL).mkdir()
    save_file({**arrays, ROWS: np.array(rows, np.int64)}, draft / layout.RETRIEVAL / layout.INDEX)


def held(manifest: Mapping[str, Any]) -> RetrievalSpec:
    """What a release declares: for one that is made of it."""
    return RetrievalSpec.model_validate(manifest.get(ENTRY, {}))


def refuse(spec: RetrievalSpec, arms: Sequence[Arm]) -> None:
    """Raises ValueError where a catalogue cannot be retrieved from, in the words of `problems`."""
    if found := problems(spec, arms):
        raise ValueError(found[0])


def problems(spec: RetrievalSpec, arms: Sequence[Arm]) -> list[str]:
    """What keeps a catalogue from being retrieved from, a sentence: the first arm without an embedding like others',
    and how many more there are. Arms that are retired or paused need none."""
    if not spec.declared or spec.learnt:
        return []
    found = [(arms[row].arm_id, _embedding(arms[row].features, spec.arm)) for row in indexed(arms)]
    length = next((len(vector) for _, vector in found if _is_vector(vector)), 0)
    odd = [(arm, vector) for arm, vector in found if not _is_vector(vector) or len(vector) != length]
    if not odd:
        return []
    (arm, vector), more = odd[0], f"; so have {len(odd) - 1:,} others" if len(odd) > 1 else ""
    expected = f"{length} numbers, as of other arms" if length else "a list of numbers"
    return [f"arm {arm}: found {spec.arm} = {vector!r:.60}, expected {expected}, which retrieval needs{more}"]


def indexed(arms: Sequence[Arm]) -> list[int]:
    """The rows of the arms that an index made now has: those that can be chosen, now or later; all, where none can."""
    now = now_us()
    return [row for row, arm in enumerate(arms) if why_not(arm, now) in ("", NOT_YET)] or [*range(len(arms))]


def _embedding(features: Mapping[str, Any], name: str) -> Any:
    """The value of a feature, which may lie in nested objects; None where there is none."""
    return features[name] if name in features else flattened(features, "catalogue").get(name)


def _is_vector(value: object) -> bool:
    """True if it is numbers that single precision can hold."""
    return isinstance(value, list | tuple) and bool(value) and _NUMBERS.issuperset(map(type, value)) and _holds(value)


def _holds(vector: Sequence[float]) -> bool:
    return max(map(abs, vector)) <= LARGEST


def sentences(spec: RetrievalSpec, arms: int) -> list[str]:
    """What is understood, for people: how many of the `arms` in the index a request that lists none is decided
    among."""
    if not spec.declared:
        return []
    if spec.clusters:
        return [_of_clusters(spec, arms)]
    top = min(spec.top, arms)
    others = min(spec.random, arms - top)
    if spec.learnt:
        by = f"by what the champion expects of them, and {others} drawn of the other {arms - top:,}"
        until = f"until {' or '.join(LEARNS)} is champion or candidate, among {top + others} drawn of all"
        return [f"retrieval: a request that lists no arms is decided among {top} of {arms:,}, {by}; {until}"]
    return [
        (
            f"retrieval: a request that lists no arms is decided among {top} of {arms:,}, by {spec.arm} and its own "
            f"{spec.context}, and {others} drawn of the other {arms - top:,}"
        )
    ]


def _of_clusters(spec: RetrievalSpec, arms: int) -> str:
    return (
        f"retrieval: a request that lists no arms is decided among {spec.top} of one of {min(spec.clusters, arms):,} "
        f"clusters of {arms:,} arms, by {spec.arm} and its own {spec.context}, and {spec.random} drawn of its "
        f"others; the cluster is the nearest, or, of {spec.explore:.0%} of requests, any one"
    )


class Retriever:
    """What lists arms for requests that list none. `index` None: lists are random, for no policy embeds arms yet."""

    def __init__(
        self,
        spec: RetrievalSpec,
        index: "ArmIndex | ArmClusters | None",
        ids: Sequence[str],
        salt: str,
        own: OwnQueries | None = None,
    ) -> None:
        self._spec, self._index, self._ids, self._salt, self._own = spec, index, ids, salt, own

    @classmethod
    def load(
        cls, folder: Path, manifest: Mapping[str, Any], arms: Sequence[Arm], decides: Decides
    ) -> "Retriever | None":
        """That of a verified release; None where it has none."""
        if ENTRY not in manifest:
            return None
        from croupier.models.retrieval.arm_index import ArmIndex  # an extra

        spec, arrays = held(manifest), load_file(folder / layout.RETRIEVAL / layout.INDEX)
        rows = arrays.pop(ROWS, np.arange(len(arms))).tolist()
        ids, salt, role = [arms[row].arm_id for row in rows], manifest["salt"], manifest.get(BY, "")
        if spec.learnt and not role:
            return cls(spec, None, ids, salt)
        if role:
            own = OwnQueries(decides.lists(role, rows), arrays["vectors"])
            return cls(spec, ArmIndex.of_arrays(arrays, PROBED_OF_OWN), ids, salt, own)
        index = ArmClusters.of_arrays(arrays) if spec.clusters else ArmIndex.of_arrays(arrays)
        return cls(spec, index, ids, salt)

    def listed(self, context: Mapping[str, Any], event_id: str) -> tuple[tuple[str, ...], str]:
        """The arms of an event, and what its decision says of them. Raises InvalidEvent where the request has no
        embedding."""
        found = self.shortlist(context, event_id)
        return tuple(self._ids[row] for row in found.rows.tolist()), str(found)

    def shortlist(self, context: Mapping[str, Any], event_id: str) -> Shortlist:
        """The rows of an event's arms. Raises InvalidEvent as `listed` does."""
        if self._index is None:
            spec, none = self._spec, np.zeros(0, np.int64)
            return shortlist(none, len(self._ids), spec.top + spec.random, salt=self._salt, event_id=event_id)
        if self._own is not None and not isinstance(self._index, ArmClusters):
            return self._by_policy(self._own, self._index, self._own.lists.encoded(context), event_id)
        query = self._query(context)
        if isinstance(self._index, ArmClusters):
            return self._of_cluster(self._index, query[0], event_id)
        arms = len(self._ids)
        top = self._index.search(query, min(self._spec.top, arms))[0]
        return shortlist(top, arms, self._spec.random, salt=self._salt, event_id=event_id)

    def inclusion(self, context: Mapping[str, Any], event_id: str, arm: str) -> float:
        """The probability that an arm of an event's list had of being on it: times its propensity given the list, that
        of the arm among all. 0 for an arm that is not on it."""
        found = self.shortlist(context, event_id)
        place = [self._ids[row] == arm for row in found.rows.tolist()]
        return float(found.inclusion[place].sum())

    def _by_policy(self, own: OwnQueries, index: "ArmIndex", context: Mapping[str, Any], event_id: str) -> Shortlist:
        """The rows by a policy's own embeddings, and by its scores of those that are near."""
        arms, top = len(self._ids), min(self._spec.top, len(self._ids))
        near = index.search(own.of(context), min(BEYOND * top, arms))[0]
        best = own.lists.best(context, near, top)
        return shortlist(best, arms, self._spec.random, salt=self._salt, event_id=event_id)

    def _of_cluster(self, clusters: ArmClusters, query: F32, event_id: str) -> Shortlist:
        """The rows of arms of a cluster that is drawn first."""
        spec = self._spec
        cluster, probability = clusters.drawn(query, spec.explore, salt=self._salt, event_id=event_id)
        members, top = clusters.members(cluster), clusters.top(cluster, query, spec.top)
        found = shortlist(top, len(members), spec.random, salt=self._salt, event_id=event_id)
        name = f"{cluster} of {len(clusters.centroids)}"
        return replace(found, rows=members[found.rows], cluster=name, probability=probability)

    def _query(self, context: Mapping[str, Any]) -> Any:
        given, length = _embedding(context, self._spec.context), 0 if self._index is None else self._index.length
        if _is_vector(given) and len(given) == length:
            return np.array([given], np.float32)
        given = f"{len(given):,} numbers" if _is_vector(given) else given
        name = f"context.{self._spec.context}"
        raise InvalidEvent(name, given, f"{length} numbers: arms are retrieved by it where a request lists none")
