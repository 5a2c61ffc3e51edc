"""The limits of an app's decisions, as they are served: which arms they are about, and pmfs that keep them.

What is served is the nearest pmf (KL) to what the policy, its floor and the share of new arms make, within the limits.
Exploration stays: an arm keeps at least ε·min(1/K, z), where z is its probability in the nearest pmf to uniform, as far
as it had that much before; z keeps the limits, so a pmf with these minimums and the limits always exists. A pmf within
the limits stays as it is, to the bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64, I64, Batch, Bool, Catalogue
from croupier.features.declared.constraint import ConstraintSpec
from croupier.features.encoding.inline import rows_of_arms
from croupier.features.known_arms import known_arms
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.workspace import Workspace
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.limits import LimitBounds, Range, feasible, require_feasible
from croupier.models.constraints.long_run import PriceList, usages
from croupier.models.constraints.projection import project
from croupier.models.exploration import uniform

WITHIN = 1e-12  # of a sum, by which a pmf may miss a limit and yet keep it
ANY: Range = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionLimits:
    """`arms`: (floor, cap) of an arm by its id; `shares`: of a category by its constraint's name; `category`: the
    constraint's name of each arm that is in one. A category has no floor in a request that lists none of its arms.
    `prices`: of long-run constraints, with which a log is judged; a server has those of now beside its release."""

    arms: Mapping[str, Range] = field(default_factory=dict)
    shares: Mapping[str, Range] = field(default_factory=dict)
    category: Mapping[str, str] = field(default_factory=dict)
    prices: PriceList | None = None

    @classmethod
    def of(cls, declared: Sequence[ConstraintSpec], arms: Mapping[str, Mapping[str, Any]]) -> Self:
        """The limits that are declared, of a catalogue's `arms`: id → features, flat."""
        each = [one for one in declared if one.kind == "limit"]
        whole = [one for one in each if one.arm]
        return cls(
            arms={arm: (one.floor, one.cap) for one in each for arm in one.arms},
            shares={one.name: (one.floor, one.cap) for one in whole},
            category={arm: one.name for one in whole for arm, features in arms.items() if one.concerns(features)},
        )

    @classmethod
    def declared(cls, spec: AppSpec, arms: Sequence[Arm]) -> Self:
        """The limits that app.toml declares, of a catalogue's `arms`."""
        return cls.of(spec.constraints, {a.arm_id: own for a, own in zip(arms, rows_of_arms(spec, arms), strict=True)})

    def __bool__(self) -> bool:
        return bool(self.arms or self.shares)

    def rows(self, catalogue: Catalogue) -> tuple[F64, I64]:
        """(A, 2) floor and cap of each row of a catalogue, and (A,) the number of its category."""
        number = {name: g for g, name in enumerate(self.shares)}
        ranges = np.array([self.arms.get(arm, ANY) for arm in catalogue.ids]).reshape(-1, 2)
        group = np.array([number.get(self.category.get(arm, ""), len(number)) for arm in catalogue.ids])
        return ranges, group

    def refuse_infeasible(self, ids: tuple[str, ...]) -> None:
        """Raises ValueError, naming the limit, where no pmf over arms of these ids keeps the limits."""
        if why := _infeasible(self, ids):
            raise ValueError(why)

    def held(self, pmf: F64, batch: Batch, floor: float) -> F64:
        """(B, K): the pmfs that are served of `pmf`, exploration of `floor` (ε) included. Rows whose limits no pmf
        keeps stay as they are: a server refuses such a request before (`refuse_infeasible`)."""
        if not self:
            return pmf
        bounds = self._bounds(batch, self._known(batch.catalogue))
        rows = np.flatnonzero(feasible(bounds) & ~_kept(pmf, bounds))
        if not len(rows):
            return pmf
        some, mask, found = _of(bounds, rows), batch.mask[rows], pmf.copy()
        found[rows] = _nearest(pmf[rows], mask, some, floor)
        return found

    def _bounds(self, batch: Batch, rows: tuple[F64, I64]) -> LimitBounds:
        """The limits of a batch's requests; a category has no floor where none of its arms is listed."""
        ranges, group = rows
        floors = np.array([*(low for low, _ in self.shares.values()), 0.0])
        caps = np.array([*(high for _, high in self.shares.values()), np.inf])
        inside = np.where(batch.mask, group[batch.arm], len(floors) - 1).astype(np.int64)
        listed = ((inside[..., None] == np.arange(len(floors))) & batch.mask[..., None]).any(axis=1)  # (B, G)
        return LimitBounds(
            low=np.where(batch.mask, ranges[batch.arm, 0], 0.0),
            high=np.where(batch.mask, ranges[batch.arm, 1], 0.0),
            group=inside,
            group_low=np.where(listed, floors, 0.0),
            group_high=np.tile(caps, (len(batch), 1)),
            names=(*self.shares, ""),
        )

    def _known(self, catalogue: Catalogue) -> tuple[F64, I64]:
        """`rows`, kept for the catalogue that was published: an extended one is of one batch only."""
        if catalogue.published is not None:
            return self.rows(catalogue)
        return _rows(self, catalogue)


@lru_cache(maxsize=8)
def _rows(limits: DecisionLimits, catalogue: Catalogue) -> tuple[F64, I64]:
    return limits.rows(catalogue)


@lru_cache(maxsize=4096)
def _infeasible(limits: DecisionLimits, ids: tuple[str, ...]) -> str:
    catalogue = Catalogue(ids=ids, features=np.zeros((len(ids), 0), np.float32), digest="")
    arm, nothing = np.arange(len(ids))[None], np.zeros((1, len(ids), 0), np.float32)
    batch = Batch(context=nothing[:, 0], arm=arm, mask=arm >= 0, pair=nothing, catalogue=catalogue)
    try:
        require_feasible(limits._bounds(batch, limits.rows(catalogue)))
    except ValueError as error:
        return str(error).removeprefix("request 0: ")
    return ""


def _kept(pmf: F64, bounds: LimitBounds) -> Bool:
    """(n,) True where a pmf is within its bounds."""
    arms = ((pmf >= bounds.low - WITHIN) & (pmf <= bounds.high + WITHIN)).all(axis=1)
    inside = bounds.group[..., None] == np.arange(len(bounds.names))
    shares = np.einsum("nk,nkg->ng", pmf, inside)
    groups = ((shares >= bounds.group_low - WITHIN) & (shares <= bounds.group_high + WITHIN)).all(axis=1)
    return np.asarray(arms & groups)


def _of(bounds: LimitBounds, rows: I64) -> LimitBounds:
    names = ("low", "high", "group", "group_low", "group_high")
    return replace(bounds, **{name: getattr(bounds, name)[rows] for name in names})


def _nearest(pmf: F64, mask: Bool, bounds: LimitBounds, floor: float) -> F64:
    """The nearest pmfs within the bounds and the minimums of exploration."""
    if not floor:
        return project(pmf, bounds, by="euclidean")  # arms of probability 0 may have to rise
    alike = uniform(mask)
    least = np.minimum(np.minimum(alike, project(alike, bounds)) * floor, pmf)
    return project(pmf, replace(bounds, low=np.maximum(bounds.low, least)))


def limits_of(w: Workspace) -> DecisionLimits | None:
    """What a policy of an app is judged with: the limits of each decision that it declares, over the arms it knows, and
    the prices of its long-run constraints as they are now; None where it has no constraint."""
    if not w.spec.constraints:
        return None
    arms = known_arms(w)
    rows = {arm.arm_id: own for arm, own in zip(arms, rows_of_arms(w.spec, arms), strict=True)}
    prices = PriceList.of(usages(w.spec.constraints, rows), kept_multipliers.now(w.store).multipliers, day="")
    return replace(DecisionLimits.of(w.spec.constraints, rows), prices=prices)
