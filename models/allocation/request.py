"""What is asked: a request's context, items, options with costs, a total, and what the objective weighs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from croupier.features.batch import F32, F64, I64, Batch, Bool, Catalogue
from croupier.features.budgets.grid import Grid
from croupier.features.schema import InvalidEvent
from croupier.models.allocation.coverage import Coverage


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What an allocation is worth: relevance · Σ expected reward + coverage · share of regions covered + spare · share
    of the total that is left. All ≥ 0, in units of the reward. Raises ValueError."""

    relevance: float = 1.0
    coverage: float = 0.0
    spare: float = 0.0

    def __post_init__(self) -> None:
        found = (self.relevance, self.coverage, self.spare)
        if not (np.isfinite(found).all() and min(found) >= 0):
            raise ValueError(f"weights: found {self}, expected finite numbers, 0 or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class Budget:
    """What limits the allocations of one request: cost (n, m), or (m,) of options alone, and the total; `region` (n,)
    of each item, from 0, and `covers` (m,), the options that cover a region (none: coverage weighs nothing)."""

    cost: F64
    total: float
    region: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    covers: Bool = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        n, m = self.shape
        if self.cost.shape not in {(m,), (n, m)}:
            raise InvalidEvent("cost", self.cost.shape, f"costs ({m},) of the options, or ({n}, {m}) of items too")
        if len(self.region) not in {0, n} or self.region.min(initial=0) < 0:
            raise InvalidEvent("region", len(self.region), f"a number from 0 for each of the {n} items, or none at all")
        if len(self.covers) not in {0, m}:
            raise InvalidEvent("covers", len(self.covers), f"one for each of the {m} options, or none at all")

    @property
    def shape(self) -> tuple[int, int]:
        """Items and options."""
        n, m = self.cost.shape
        return n, m

    def costs(self) -> F64:
        """(n, m): what each option costs for each item."""
        return np.broadcast_to(self.cost, self.shape).astype(np.float64)

    def grid(self) -> Grid:
        """The costs in cells. Raises InvalidEvent, naming what cannot be allocated."""
        return Grid.of(self.costs(), self.total)

    def coverage(self, weights: Weights) -> Coverage:
        """The bonus for regions covered."""
        n, m = self.shape
        if not (weights.coverage and len(self.covers)):
            return Coverage.none(n, m)
        region = np.unique(self.region, return_inverse=True)[1] if len(self.region) else np.zeros(n, np.int64)
        return Coverage(region=region, covers=self.covers, bonus=weights.coverage / (int(region.max()) + 1))

    def gains(self, scores: F64, weights: Weights) -> F64:
        """(S, n, m): what is added up of an allocation's worth, from scores (S, n, m) in units of the reward."""
        share = self.costs() / self.total if self.total else np.zeros(self.shape)
        return weights.relevance * scores - weights.spare * share


@dataclass(frozen=True, kw_only=True, eq=False)
class AllocationRequest(Budget):
    """One request with its features: context (d_u,), items (n, d_a), options (m, d_o)."""

    context: F32
    items: F32
    options: F32

    @property
    def shape(self) -> tuple[int, int]:
        """Items and options."""
        return len(self.items), len(self.options)

    def batch(self, *, crossed: bool) -> Batch:
        """The items as requests (n) with the options as candidates (m): context and pair features say which, the arm is
        the item. `crossed` adds each product of an option's and an item's feature, which a linear head needs."""
        n, m = self.shape
        pair = np.broadcast_to(self.options, (n, m, self.options.shape[1]))
        if crossed:
            products = (self.options[None, :, :, None] * self.items[:, None, None, :]).reshape(n, m, -1)
            pair = np.concatenate([pair, products], axis=2)
        return Batch(
            context=np.broadcast_to(self.context, (n, len(self.context))).astype(np.float32),
            arm=np.broadcast_to(np.arange(n)[:, None], (n, m)).copy(),
            mask=np.ones((n, m), bool),
            pair=pair.astype(np.float32),
            catalogue=Catalogue(ids=tuple(map(str, range(n))), features=self.items, digest="items"),
        )


def joined(requests: Sequence[AllocationRequest], *, crossed: bool) -> Batch:
    """One batch of the items of several requests that have as many options, in their order. Raises ValueError."""
    if len({len(asked.options) for asked in requests}) != 1:
        found = sorted({len(asked.options) for asked in requests})
        raise ValueError(f"requests: found {found} options, expected one or more requests of one number of options")
    parts = [asked.batch(crossed=crossed) for asked in requests]
    shift = np.cumsum([0, *(len(part) for part in parts)])
    features = np.concatenate([part.catalogue.features for part in parts])
    return Batch(
        context=np.concatenate([part.context for part in parts]),
        arm=np.concatenate([part.arm + start for part, start in zip(parts, shift, strict=False)]),
        mask=np.concatenate([part.mask for part in parts]),
        pair=np.concatenate([part.pair for part in parts]),
        catalogue=Catalogue(ids=tuple(map(str, range(len(features)))), features=features, digest="items"),
    )
