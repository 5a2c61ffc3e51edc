"""Retrieval by a policy's own embeddings: what the champion expects of arms is where they lie.

An arm's embedding is what the policy expects of it, by the mean of its head as it was released, in each of LANDMARKS
requests like those that the encoder was fitted on, reduced to SIZE numbers: the principal components, each of variance
1. Two arms lie close together where the policy expects as much of them from everybody. A score is no inner product,
for layers of a network lie between. So a request's query is the linear function of embeddings that fits the policy's
scores of SAMPLE arms best, by least squares; the index finds BEYOND times as many arms as are wanted, and the policy
itself scores each of these.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, cast

import numpy as np

from croupier.features.batch import F32, F64, I64, Batch, Catalogue
from croupier.features.declared.retrieval import LEARNS
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.undeclared import Undeclared
from croupier.models.policy import Policy
from croupier.serving.retrieval import sampled_requests

LANDMARKS, SAMPLE, BEYOND = 128, 512, 3  # requests; arms; times the top
SIZE, LEARNT_FROM = 16, 4096  # numbers of an embedding; arms whose principal components are taken
AT_ONCE = 4096  # arms that are scored together
FLAT = 1e-6  # of the largest singular value: below, arms do not differ


class ScoresBatches(Protocol):
    """A trained policy with one shared head."""

    @property
    def head(self) -> Any:
        """The posterior, whose `mean` (h,) scores φ."""

    def phi(self, batch: Batch) -> Any:
        """(n, h): φ of each candidate, in the order of the mask."""


def embedding(roles: Mapping[str, Policy]) -> str:
    """The role whose policy's scores embed arms, the champion first; "" where none does."""
    able = (role for role, p in roles.items() if p.name in LEARNS and getattr(p, "sizes", None) is not None)
    return next((role for role in able if getattr(roles[role], "parameters", {}).get("heads") == "shared"), "")


@dataclass(frozen=True, eq=False)
class OwnLists:
    """`policy` scores the arms of a release: `rows` (n,) of its `catalogue`, those that are in the index."""

    policy: ScoresBatches
    encoder: Encoder
    catalogue: Catalogue
    rows: I64

    @classmethod
    def of(cls, policy: Policy, encoder: Encoder, catalogue: Catalogue, rows: Sequence[int]) -> Self:
        """Makes them of a trained policy with one shared head, over these rows of a catalogue."""
        return cls(cast("ScoresBatches", policy), encoder, catalogue, np.asarray(rows, np.int64))

    def vectors(self) -> F32:
        """(n, SIZE): what the index holds; fewer numbers where arms differ in fewer ways."""
        asked, every = sampled_requests.requests(self.encoder, LANDMARKS), np.arange(len(self.rows))
        some = _some(len(self.rows), LEARNT_FROM)
        known = np.stack([self.scores(context, some) for context in asked], axis=1)
        middle = known.mean(axis=0)
        _, size, turned = np.linalg.svd(known - middle, full_matrices=False)
        kept = max(1, min(SIZE, int((size > FLAT * size[0]).sum())))
        axes = turned[:kept].T / np.maximum(size[:kept] / np.sqrt(len(some)), np.finfo(np.float32).tiny)
        found = np.zeros((len(every), kept))
        for context, mean, axis in zip(asked, middle, axes, strict=True):
            found += (self.scores(context, every) - mean)[:, None] * axis
        return found.astype(np.float32)

    def encoded(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        """A request's features as they are declared. Raises InvalidEvent naming one that is wrong."""
        return self.encoder.context.validation.taken(context, "context", Undeclared(lambda: True))

    def scores(self, context: Mapping[str, Any], places: I64) -> F64:
        """(m,): what the policy expects of arms, by their places among the rows, on the scale on which it learns."""
        return np.concatenate(list(self._scores(context, places)))

    def _scores(self, context: Mapping[str, Any], places: I64) -> Iterator[F64]:
        for start in range(0, len(places), AT_ONCE):
            rows = self.rows[places[start : start + AT_ONCE]][None]
            batch = self.encoder.batch([context], rows, np.ones(rows.shape, np.bool_), [()], self.catalogue)
            yield np.asarray(np.asarray(self.policy.phi(batch), np.float64) @ self.policy.head.mean)

    def best(self, context: Mapping[str, Any], found: I64, top: int) -> I64:
        """(top,): of the places that the index found, those that the policy expects most of."""
        best: I64 = found[np.argsort(-self.scores(context, found), kind="stable")[:top]]
        return best


class OwnQueries:
    """What an index of `vectors` (n, d), those of `lists`, is asked."""

    def __init__(self, lists: OwnLists, vectors: F32) -> None:
        self.lists, self._some = lists, _some(len(vectors), SAMPLE)
        x = vectors[self._some].astype(np.float64)
        self._fit: F64 = np.linalg.pinv(x - x.mean(axis=0), rcond=FLAT)

    def of(self, context: Mapping[str, Any]) -> F32:
        """(1, d): for a request, its features as declared."""
        scores = self.lists.scores(context, self._some)
        query: F32 = (self._fit @ (scores - scores.mean())).astype(np.float32)
        return query[None]


def _some(of: int, n: int) -> I64:
    """At most n places of so many, the same ones each time."""
    return np.sort(np.random.default_rng(1).choice(of, min(n, of), replace=False)).astype(np.int64)
