"""Arrays that policies read: a batch of requests, and a log of what came of them.

A catalogue's arms are indexed once, so a batch carries row numbers (B, K) instead of copying features (B, K, d_a):
policies precompute the arm's share of their work once per catalogue (models/vw/form.py), and per-arm
policies know which arm is which. Ragged candidate lists are padded to the longest; `mask` is False on padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Floats = F32 | F64
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalogue:
    """Encoded arms: `ids` (A,) and `features` (A, d_a). `digest` is that of the raw catalogue it came from."""

    ids: tuple[str, ...]
    features: F32
    digest: str

    @cached_property
    def row(self) -> dict[str, int]:
        """The row of each arm id in `features`."""
        return {arm: i for i, arm in enumerate(self.ids)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """B requests with up to K candidates: context (B, d_u), arm (B, K) rows of the catalogue (0 where masked),
    mask (B, K), pair (B, K, d_p) features of (request, arm); d_p may be 0."""

    context: F32
    arm: I64
    mask: Bool
    pair: F32
    catalogue: Catalogue

    def __len__(self) -> int:
        return len(self.context)

    def __getitem__(self, rows: slice | NDArray[np.intp] | I64 | Bool) -> Self:
        return type(self)(
            context=self.context[rows],
            arm=self.arm[rows],
            mask=self.mask[rows],
            pair=self.pair[rows],
            catalogue=self.catalogue,
        )

    @property
    def arm_features(self) -> F32:
        """(B, K, d_a): a copy, for learners that want it whole."""
        return self.catalogue.features[self.arm]


@dataclass(frozen=True, kw_only=True, eq=False)
class Interactions:
    """B logged decisions with rewards: `chosen` (B,) position in K, `reward` (B,), `propensity` (B,) of the chosen
    arm, `pmf` (B, K) as logged, `at` (B,) UTC µs, `unit` (B,) a 64-bit hash for splits by unit, `weight` (B,) =
    1 / pass_probability."""

    batch: Batch
    chosen: I64
    reward: F64
    propensity: F64
    pmf: F64
    at: I64
    unit: NDArray[np.uint64]
    weight: F64

    def __len__(self) -> int:
        return len(self.chosen)

    @cached_property
    def shown(self) -> tuple[I64, F32]:
        """Returns the chosen candidates' rows of the catalogue (B,) and pair features (B, d_p)."""
        (n, K), d_p = self.batch.mask.shape, self.batch.pair.shape[2]
        flat = np.arange(n) * K + self.chosen  # `take` from flat arrays: several times faster than two indices
        return self.batch.arm.reshape(n * K).take(flat), self.batch.pair.reshape(n * K, d_p).take(flat, axis=0)

    @cached_property
    def unit_number(self) -> I64:
        """(n,) the rows' units, numbered from 0."""
        return np.unique(self.unit, return_inverse=True)[1]

    def __getitem__(self, rows: slice | NDArray[np.intp] | I64 | Bool) -> Self:
        return type(self)(
            batch=self.batch[rows],
            chosen=self.chosen[rows],
            reward=self.reward[rows],
            propensity=self.propensity[rows],
            pmf=self.pmf[rows],
            at=self.at[rows],
            unit=self.unit[rows],
            weight=self.weight[rows],
        )


def concatenate(chunks: Sequence[Interactions]) -> Interactions:
    """One log of several that share a catalogue, padded to the widest. Raises ValueError when there is none."""
    if not chunks:
        raise ValueError("interactions: found no rows, expected at least one; is the interval right, has it matured?")
    K = max(c.batch.mask.shape[1] for c in chunks)

    def joined(arrays: Sequence[NDArray[Any]]) -> Any:
        wide = [np.pad(a, [(0, 0), (0, K - a.shape[1]), *[(0, 0)] * (a.ndim - 2)]) for a in arrays]
        return np.concatenate(wide)

    batch = Batch(
        context=np.concatenate([c.batch.context for c in chunks]),
        arm=joined([c.batch.arm for c in chunks]),
        mask=joined([c.batch.mask for c in chunks]),
        pair=joined([c.batch.pair for c in chunks]),
        catalogue=chunks[0].batch.catalogue,
    )
    flat = {n: np.concatenate([getattr(c, n) for c in chunks]) for n in _FLAT}
    return Interactions(batch=batch, pmf=joined([c.pmf for c in chunks]), **flat)


_FLAT = ("chosen", "reward", "propensity", "at", "unit", "weight")
