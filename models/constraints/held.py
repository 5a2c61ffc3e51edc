"""The limits of an app's decisions, as they are served: which arms they are about, and pmfs that keep them.

What is served is the nearest pmf (KL) to what the policy, its floor and the share of new arms make, within the limits.
Exploration stays: an arm keeps at least ε·min(1/K, z), where z is its probability in the nearest pmf to uniform, as far
as it had that much before; z keeps the limits, so a pmf with these minimums and the limits always exists. A pmf within
the limits stays as it is, to the bit.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64, I64, Batch, Bool, Catalogue
from croupier.features.declared.constraint import ConstraintSpec
from croupier.features.declared.segment import RequestSegment
from croupier.features.declared.segmented import SegmentedRows
from croupier.features.encoding.inline import rows_of_arms
from croupier.features.known_arms import known_arms
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.spec_values import SafetySpec
from croupier.features.workspace import Workspace
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.limits import LimitBounds, Range, feasible, require_feasible
from croupier.models.constraints.long_run import PriceList, usages
from croupier.models.constraints.never_dominated import undominated
from croupier.models.constraints.projection import project
from croupier.models.exploration import uniform
from croupier.models.policy import Policy

WITHIN = 1e-12  # of a sum, by which a pmf may miss a limit and yet keep it
ANY: Range = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentLimits:
    """What holds in the requests of a segment beside what holds in all: (floor, cap) of arms by their ids, and of
    categories by their names; `exploration`, the ε of each of its decisions."""

    segment: RequestSegment
    arms: Mapping[str, Range] = field(default_factory=dict)
    shares: Mapping[str, Range] = field(default_factory=dict)
    exploration: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionLimits:
    """`arms`: (floor, cap) of an arm by its id; `shares`: of a category by the name of the first constraint of it;
    `category`: that name of each arm that is in one. A category has no floor in a request that lists none of its arms.
    `segments`: what holds in some requests alone. `confidence`: of the bounds by which a candidate that is surely worse
    than another one is left out; 0: none is. `prices`: of long-run constraints, with which a log is judged; a
    server has those of now beside its release."""

    arms: Mapping[str, Range] = field(default_factory=dict)
    shares: Mapping[str, Range] = field(default_factory=dict)
    category: Mapping[str, str] = field(default_factory=dict)
    segments: tuple[SegmentLimits, ...] = ()
    confidence: float = 0.0
    prices: PriceList | None = None

    @classmethod
    def of(
        cls, declared: Sequence[ConstraintSpec], arms: Mapping[str, Mapping[str, Any]], safety: SafetySpec | None = None
    ) -> Self:
        """The limits that are declared, of a catalogue's `arms`: id → features, flat."""
        each = [one for one in declared if one.kind == "limit"]
        names: dict[tuple[object, ...], str] = {}
        for one in each:
            if one.arm:
                names.setdefault(one.category, one.name)
        everywhere = [one for one in each if not one.when]
        apart = dict.fromkeys(s for one in declared if (s := _segment(one)) is not None)
        return cls(
            arms=_of_arms(everywhere),
            shares=dict.fromkeys(names.values(), ANY) | _of_categories(everywhere, names),
            category={
                arm: names[one.category] for one in each for arm, features in arms.items() if one.concerns(features)
            },
            confidence=safety.confidence if safety and safety.never_dominated else 0.0,
            segments=tuple(_of_segment(s, [one for one in declared if _segment(one) == s], names) for s in apart),
        )

    @classmethod
    def declared(cls, spec: AppSpec, arms: Sequence[Arm]) -> Self:
        """The limits that app.toml declares, of a catalogue's `arms`."""
        rows = {a.arm_id: own for a, own in zip(arms, rows_of_arms(spec, arms), strict=True)}
        return cls.of(spec.constraints, rows, spec.safety)

    def __bool__(self) -> bool:
        return bool(self.arms or self.shares or self.segments)

    def rows(self, catalogue: Catalogue) -> tuple[F64, I64]:
        """(1 + S, A, 2) floor and cap of each row of a catalogue, in all requests and in those of each segment, and
        (A,) the number of its category."""
        number = {name: g for g, name in enumerate(self.shares)}
        each = [self.arms, *(held.arms for held in self.segments)]
        ranges = np.array([[of.get(arm, ANY) for arm in catalogue.ids] for of in each]).reshape(len(each), -1, 2)
        group = np.array([number.get(self.category.get(arm, ""), len(number)) for arm in catalogue.ids])
        return ranges, group

    def refuse_infeasible(self, ids: tuple[str, ...], context: Mapping[str, Any]) -> None:
        """Raises ValueError, naming the limit, where no pmf over arms of these ids keeps the limits of a request with
        this context, flat."""
        if why := _infeasible(self, ids, tuple(held.segment.has(context) for held in self.segments)):
            raise ValueError(why)

    def refuse_all_infeasible(self, ids: tuple[str, ...]) -> None:
        """Raises ValueError where arms of these ids have no pmf, in requests of no segment or of one by itself."""
        for alone in (None, *self.segments):
            if why := _infeasible(self, ids, tuple(held is alone for held in self.segments)):
                of = f"in segment {alone.segment.key}: " if alone else ""
                raise ValueError(f"{of}{why}")

    def explored(self, batch: Batch, floor: float) -> float | F64:
        """The ε of each request's exploration: `floor`, or (B, 1) where a segment asks for more of some."""
        found: float | F64 = floor
        for held in self.segments:
            if held.exploration > floor:
                mine = np.where(batch.of_segment(held.segment), held.exploration, floor)[:, None]
                found = np.maximum(found, mine)
        return found

    def safe(self, policy: Policy, batch: Batch) -> Batch:
        """The batch without the candidates that the policy knows to be worse than another one. Those that have a floor
        stay, and all of a request whose caps the others could not keep. A policy without bounds knows of none."""
        within: Callable[[Batch, float], tuple[F64, F64]] | None = getattr(policy, "within", None)
        if not self.confidence or within is None or not len(batch):
            return batch
        mask = undominated(*within(batch, self.confidence), batch.mask)
        if self:
            rows = self._known(batch.catalogue)
            bounds = self._bounds(batch, rows)
            floor = (bounds.low > 0) | (np.take_along_axis(bounds.group_low, bounds.group, axis=1) > 0)
            mask |= batch.mask & floor
            fits = feasible(self._bounds(replace(batch, mask=mask), rows))
            mask = np.where(fits[:, None], mask, batch.mask)
        return batch if np.array_equal(mask, batch.mask) else replace(batch, mask=mask)

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
        each = np.broadcast_to(self.explored(batch, floor), (len(batch), 1))[rows]
        found[rows] = _nearest(pmf[rows], mask, some, each)
        return found

    def _bounds(self, batch: Batch, rows: tuple[F64, I64]) -> LimitBounds:
        """The limits of a batch's requests; a category has no floor where none of its arms is listed."""
        ranges, group = rows
        ends = _ends(self.shares, self.shares)
        inside = np.where(batch.mask, group[batch.arm], len(self.shares)).astype(np.int64)
        listed = ((inside[..., None] == np.arange(len(ends))) & batch.mask[..., None]).any(axis=1)  # (B, G)
        low, high = ranges[0, batch.arm, 0], ranges[0, batch.arm, 1]
        group_low, group_high = (np.tile(end, (len(batch), 1)) for end in ends.T)
        for held, own in zip(self.segments, ranges[1:], strict=True):
            mine, of = batch.of_segment(held.segment)[:, None], _ends(self.shares, held.shares)
            low = np.where(mine, np.maximum(low, own[batch.arm, 0]), low)
            high = np.where(mine, np.minimum(high, own[batch.arm, 1]), high)
            group_low = np.where(mine, np.maximum(group_low, of[:, 0]), group_low)
            group_high = np.where(mine, np.minimum(group_high, of[:, 1]), group_high)
        return LimitBounds(
            low=np.where(batch.mask, low, 0.0),
            high=np.where(batch.mask, high, 0.0),
            group=inside,
            group_low=np.where(listed, group_low, 0.0),
            group_high=group_high,
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
def _infeasible(limits: DecisionLimits, ids: tuple[str, ...], held: tuple[bool, ...]) -> str:
    catalogue = Catalogue(ids=ids, features=np.zeros((len(ids), 0), np.float32), digest="")
    arm, nothing = np.arange(len(ids))[None], np.zeros((1, len(ids), 0), np.float32)
    marks = {each.segment.key: np.array([has]) for each, has in zip(limits.segments, held, strict=True)}
    batch = Batch(
        context=nothing[:, 0],
        arm=arm,
        mask=arm >= 0,
        pair=nothing,
        catalogue=catalogue,
        segmented=SegmentedRows(marks=marks),
    )
    try:
        require_feasible(limits._bounds(batch, limits.rows(catalogue)))
    except ValueError as error:
        return str(error).removeprefix("request 0: ")
    return ""


def _segment(one: ConstraintSpec) -> RequestSegment | None:
    """The segment whose decisions a constraint limits, each by itself."""
    return RequestSegment.of(one.when) if one.kind in ("limit", "exploration") else None


def _of_arms(limits: Sequence[ConstraintSpec]) -> dict[str, Range]:
    return {arm: (one.floor, one.cap) for one in limits for arm in one.arms}


def _of_categories(limits: Sequence[ConstraintSpec], names: Mapping[tuple[object, ...], str]) -> dict[str, Range]:
    return {names[one.category]: (one.floor, one.cap) for one in limits if one.arm}


def _of_segment(
    segment: RequestSegment, mine: Sequence[ConstraintSpec], names: Mapping[tuple[object, ...], str]
) -> SegmentLimits:
    limits = [one for one in mine if one.kind == "limit"]
    return SegmentLimits(
        segment=segment,
        arms=_of_arms(limits),
        shares=_of_categories(limits, names),
        exploration=max([one.floor for one in mine if one.kind == "exploration"], default=0.0),
    )


def _ends(names: Iterable[str], ranges: Mapping[str, Range]) -> F64:
    """(G, 2) floor and cap of each category, and of what is in none."""
    return np.array([*(ranges.get(name, ANY) for name in names), (0.0, np.inf)])


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


def _nearest(pmf: F64, mask: Bool, bounds: LimitBounds, floor: F64) -> F64:
    """The nearest pmfs within the bounds and the minimums of exploration; `floor` (n, 1) is each request's ε."""
    found, none = np.empty_like(pmf), floor[:, 0] == 0
    for rows in (np.flatnonzero(none), np.flatnonzero(~none)):
        if not len(rows):
            continue
        p, some, alike = pmf[rows], _of(bounds, rows), uniform(mask[rows])
        if none[rows[0]]:
            found[rows] = project(p, some, by="euclidean")  # arms of probability 0 may have to rise
            continue
        least = np.minimum(np.minimum(alike, project(alike, some)) * floor[rows], p)
        found[rows] = project(p, replace(some, low=np.maximum(some.low, least)))
    return found


def limits_of(w: Workspace) -> DecisionLimits | None:
    """What a policy of an app is judged with: the limits of each decision that it declares, over the arms it knows, and
    the prices of its long-run constraints as they are now; None where it has no constraint."""
    if not w.spec.constraints and not w.spec.safety.never_dominated:
        return None
    arms = known_arms(w)
    rows = {arm.arm_id: own for arm, own in zip(arms, rows_of_arms(w.spec, arms), strict=True)}
    prices = PriceList.of(usages(w.spec.constraints, rows), kept_multipliers.now(w.store).multipliers, day="")
    return replace(DecisionLimits.of(w.spec.constraints, rows, w.spec.safety), prices=prices)
