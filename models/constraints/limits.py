"""What a decision's pmf must satisfy: limits of arms and of categories, as arrays ready to be projected onto.

never    arms that may not be chosen             p_k = 0
arms     (floor, cap) of an arm                  floor ≤ p_k ≤ cap
shares   (floor, cap) of a category's arms       floor ≤ Σ_{k in category} p_k ≤ cap
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from croupier.features.batch import F64, I64, Bool

Range = tuple[float, float]
SLACK = 1e-12  # of sums of floors and caps, which rounding may put past 1
_NONE: Mapping[str, Range] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, eq=False)
class LimitBounds:
    """Limits of requests as arrays: `low`, `high` (n, K) of arms; `group` each arm's category, counted from 0, (K,), or
    (n, K) where requests list other arms; `group_low`, `group_high` (n, G) of categories, whose names are `names`."""

    low: F64
    high: F64
    group: I64
    group_low: F64
    group_high: F64
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits by name: `arms` and `shares` map an arm or a category to (floor, cap), both in [0, 1]; `category` says of
    arms in which category they are. An arm that a request does not list has no floor there; a category's floor stands
    in every request.

    Raises ValueError for a floor above its cap, and for a category with a limit but without an arm."""

    never: frozenset[str] = frozenset()
    arms: Mapping[str, Range] = field(default_factory=lambda: _NONE)
    category: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, Range] = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        for kind, ranges in (("arm", self.arms), ("category", self.shares)):
            for name, (floor, cap) in ranges.items():
                if not 0 <= floor <= cap <= 1:
                    raise ValueError(
                        f"{kind} {name}: found floor {floor:g} and cap {cap:g}, expected 0 ≤ floor ≤ cap ≤ 1"
                    )
        if lone := sorted(set(self.shares) - set(self.category.values())):
            raise ValueError(f"category {lone[0]}: found a limit but no arm in it, expected one in `category`")

    def bounds(self, ids: Sequence[str], mask: Bool) -> LimitBounds:
        """The limits of requests for arms `ids` (K), `mask` (n, K) True on candidates, each request seen to have a pmf
        that satisfies them. Raises ValueError naming the limit that cannot be met, and the request."""
        if mask.ndim != 2 or mask.shape[1] != len(ids):
            raise ValueError(f"mask: found shape {mask.shape}, expected (n, {len(ids)}), a column for each arm")
        names = (*self.shares, "")  # the last: arms of no limited category
        at = {name: g for g, name in enumerate(names)}
        arms = np.array([(0.0, 0.0) if arm in self.never else self.arms.get(arm, (0.0, 1.0)) for arm in ids])
        shares = np.array([*self.shares.values(), (0.0, float(len(ids)))])
        bounds = LimitBounds(
            low=np.where(mask, arms[:, 0], 0.0),
            high=np.where(mask, arms[:, 1], 0.0),
            group=np.array([at.get(self.category.get(arm, ""), len(names) - 1) for arm in ids], dtype=np.int64),
            group_low=np.tile(shares[:, 0], (len(mask), 1)),
            group_high=np.tile(shares[:, 1], (len(mask), 1)),
            names=names,
        )
        require_feasible(bounds)
        return bounds


def reach(bounds: LimitBounds) -> tuple[F64, F64]:
    """(n, G) each: the least and the most that each category can have by the limits of its arms."""
    inside = bounds.group[..., None] == np.arange(len(bounds.names))  # (K, G) or (n, K, G)
    if bounds.group.ndim == 1:
        return bounds.low @ inside, bounds.high @ inside
    return np.einsum("nk,nkg->ng", bounds.low, inside), np.einsum("nk,nkg->ng", bounds.high, inside)


def feasible(bounds: LimitBounds) -> Bool:
    """(n,) True where a request has a pmf within its bounds."""
    least, most = reach(bounds)
    categories = (most >= bounds.group_low - SLACK) & (least <= bounds.group_high + SLACK)
    floors = np.maximum(least, bounds.group_low).sum(axis=1)
    caps = np.minimum(most, bounds.group_high).sum(axis=1)
    return np.asarray(categories.all(axis=1) & (floors <= 1 + SLACK) & (caps >= 1 - SLACK))


def require_feasible(bounds: LimitBounds) -> None:
    """Returns where each request has a pmf within its bounds. Raises ValueError naming the first limit that cannot be
    met: categories by their arms' limits, then all of them by their sum."""
    least, most = reach(bounds)
    for row, g in np.argwhere(most < bounds.group_low - SLACK)[:1]:
        raise ValueError(
            f"request {row}: category {bounds.names[g]} can have at most {most[row, g]:.6g} by the limits of its "
            f"candidates, expected its floor of {bounds.group_low[row, g]:.6g}; lower it, or list more arms of it"
        )
    for row, g in np.argwhere(least > bounds.group_high + SLACK)[:1]:
        raise ValueError(
            f"request {row}: category {bounds.names[g]} has at least {least[row, g]:.6g} by the floors of its arms, "
            f"expected to keep its cap of {bounds.group_high[row, g]:.6g}; lower a floor, or raise the cap"
        )
    floors = np.maximum(least, bounds.group_low).sum(axis=1)
    caps = np.minimum(most, bounds.group_high).sum(axis=1)
    if (floors > 1 + SLACK).any():
        row = int(np.argmax(floors))
        raise ValueError(
            f"request {row}: found floors that sum to {floors[row]:.6g}, expected at most 1; lower a floor"
        )
    if (caps < 1 - SLACK).any():
        row = int(np.argmin(caps))
        raise ValueError(f"request {row}: found caps that sum to {caps[row]:.6g}, expected at least 1; raise a cap")
