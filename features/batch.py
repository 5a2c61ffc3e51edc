"""Arrays that policies read: a batch of requests, and a log of what came of them.

A catalogue's arms are indexed once, so a batch carries row numbers (B, K) instead of copying features (B, K, d_a):
policies precompute the arm's share of their work once per catalogue (DESIGN.md, "VW as tensors"), and per-arm
policies know which arm is which. Ragged candidate lists are padded to the longest; `mask` is False on padding.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
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
            context=self.context[rows], arm=self.arm[rows], mask=self.mask[rows], pair=self.pair[rows],
            catalogue=self.catalogue,
        )  # fmt: skip

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

    def __getitem__(self, rows: slice | NDArray[np.intp] | I64 | Bool) -> Self:
        return type(self)(
            batch=self.batch[rows], chosen=self.chosen[rows], reward=self.reward[rows],
            propensity=self.propensity[rows], pmf=self.pmf[rows], at=self.at[rows], unit=self.unit[rows],
            weight=self.weight[rows],
        )  # fmt: skip
