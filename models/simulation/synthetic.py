"""Small random logs of known truth, for tests, benchmarks and `croupier simulate`: no file, no server needed."""

from dataclasses import dataclass
from typing import Self, cast

import numpy as np

from croupier.features.batch import F64, Batch, Catalogue, Interactions


@dataclass(frozen=True, kw_only=True)
class LinearWorld:
    """Requests with up to K of A arms; the expected reward is a clipped bilinear form of context, arm and pair."""

    catalogue: Catalogue
    weights: F64  # (1 + d_u, d_a + d_p + 1)
    candidates: int
    d_p: int

    @classmethod
    def make(cls, seed: int, *, arms: int = 6, candidates: int = 4, d_u: int = 3, d_a: int = 4, d_p: int = 2) -> Self:
        """Makes a world from a seed."""
        rng = np.random.default_rng([seed, 1])
        features = rng.normal(size=(arms, d_a)).astype(np.float32)
        catalogue = Catalogue(ids=tuple(f"arm-{i}" for i in range(arms)), features=features, digest=f"synthetic-{seed}")
        weights = rng.normal(size=(1 + d_u, d_a + d_p + 1)) * 0.15
        return cls(catalogue=catalogue, weights=weights, candidates=candidates, d_p=d_p)

    def requests(self, n: int, rng: np.random.Generator, *, ragged: bool = True) -> Batch:
        """n requests; with `ragged`, between 1 and K candidates each."""
        A, K = len(self.catalogue.ids), self.candidates
        arm = rng.permuted(np.tile(np.arange(A), (n, 1)), axis=1)[:, :K]
        size = rng.integers(1, K + 1, size=(n, 1)) if ragged else np.full((n, 1), K)
        mask = np.arange(K) < size
        context = rng.normal(size=(n, len(self.weights) - 1)).astype(np.float32)
        pair = (rng.normal(size=(n, K, self.d_p)) * mask[:, :, None]).astype(np.float32)
        return Batch(context=context, arm=np.where(mask, arm, 0), mask=mask, pair=pair, catalogue=self.catalogue)

    def expected(self, batch: Batch) -> F64:
        """Returns (B, K): the true mean reward, in [0, 1]."""
        n, K = batch.mask.shape
        u = np.concatenate([np.ones((n, 1)), batch.context], axis=1)
        x = np.concatenate([batch.arm_features, batch.pair, np.ones((n, K, 1))], axis=2)
        return cast("F64", np.clip(0.5 + np.einsum("bu,ux,bkx->bk", u, self.weights, x), 0.0, 1.0))

    def log(self, n: int, seed: int, *, ragged: bool = True) -> Interactions:
        """n uniform decisions with 0/1 rewards."""
        rng = np.random.default_rng([seed, 2])
        batch = self.requests(n, rng, ragged=ragged)
        K = batch.mask.sum(axis=1)
        chosen = (rng.random(n) * K).astype(np.int64)  # candidates come first, padding last
        rows = np.arange(n)
        return Interactions(
            batch=batch,
            chosen=chosen,
            reward=(rng.random(n) < self.expected(batch)[rows, chosen]).astype(np.float64),
            propensity=1.0 / K,
            pmf=batch.mask / K[:, None],
            at=np.arange(n) * 1_000_000,
            unit=rng.integers(0, 2**63, size=n).astype(np.uint64),
            weight=np.ones(n),
        )
