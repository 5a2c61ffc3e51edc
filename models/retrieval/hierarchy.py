"""First a cluster of arms, then an arm of it: the propensity of an arm among all is the product.

    P(arm) = P(its cluster) · P(it is listed, in its cluster) · P(it is drawn from the list)

With probability 1 − ε the cluster is that whose centroid has the largest inner product with the query, with ε any one,
each alike. So the best arms of every cluster are tried now and then, with a probability that is known. The draw is a
hash of the event, so it can be derived again. Clusters are those of k-means over the arms' embeddings."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F32, F64, I64
from croupier.features.ids import hash64
from croupier.models.retrieval.parts import TopArms

CENTROIDS, CLUSTER_OF = "cluster_centroids", "cluster_of"  # arrays of a release's index


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmClusters:
    """`vectors` (A, d) of arms, `centroids` (C, d), and the cluster of each arm, `of` (A,)."""

    vectors: F32
    centroids: F32
    of: I64

    @cached_property
    def _members(self) -> list[I64]:
        """The rows of each cluster's arms."""
        ends = np.bincount(self.of, minlength=len(self.centroids)).cumsum()
        return np.split(np.argsort(self.of, kind="stable"), ends[:-1])

    @cached_property
    def _vectors_of(self) -> list[F32]:
        """The vectors of each cluster's arms, one beside the other in memory: a decision reads them all."""
        return [self.vectors[rows] for rows in self._members]

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "ArmClusters":
        """The clusters that `arrays` describes."""
        return cls(vectors=arrays["vectors"], centroids=arrays[CENTROIDS], of=np.asarray(arrays[CLUSTER_OF], np.int64))

    @property
    def length(self) -> int:
        """d, the length of a vector."""
        return int(self.vectors.shape[1])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `of_arrays` needs beside the vectors."""
        return {CENTROIDS: self.centroids, CLUSTER_OF: self.of.astype(np.int32)}

    def pmf(self, query: F32, explore: float) -> F64:
        """(C,) the probability of each cluster, for a query (d,): an empty one has none."""
        there = np.array([len(rows) > 0 for rows in self._members])
        found = explore * there / there.sum()
        found[np.where(there, self.centroids @ query, -np.inf).argmax()] += 1.0 - explore
        return np.asarray(found)

    def drawn(self, query: F32, explore: float, *, salt: str, event_id: str) -> tuple[int, float]:
        """The cluster of an event, and the probability that it had."""
        pmf = self.pmf(query, explore)
        ends, last = pmf.cumsum(), int(pmf.nonzero()[0][-1])
        u = hash64(salt, f"cluster {event_id}") / 2**64
        cluster = min(int(np.searchsorted(ends, u * ends[-1], side="right")), last)
        return cluster, float(pmf[cluster])

    def members(self, cluster: int) -> I64:
        """The rows of a cluster's arms, in their order."""
        return self._members[cluster]

    def top(self, cluster: int, query: F32, n: int) -> I64:
        """The places, among a cluster's members, of the n with the largest inner product with the query (d,), the
        best first; all where there are fewer."""
        scores = self._vectors_of[cluster] @ query
        return TopArms.of(np.arange(len(scores)), scores, n).rows
