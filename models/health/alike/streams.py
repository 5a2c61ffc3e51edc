"""The rewards that are watched, hour by hour, with decisions counted by the arms that were on offer (on_offer.py).

Only arms with a past are counted: of an arm that came this week nobody knows what it should earn. Where most decisions
are of such arms, as where arms live for hours, or where arms have few rewards, decisions count as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.alike.on_offer import Exposure, exposure
from croupier.models.health.alike.wider import wider
from croupier.models.health.residuals import Whole
from croupier.models.health.season import DAY_HOURS, View

MEAN, SHARE = "reward", "share of decisions with a reward"
GROUPS = ("all", "arm", "segment")
BEHIND = 100.0  # rewards in the baseline, from which on an arm's rate is known
ERROR = 0.02  # of what is expected, by which one arm's rate may be off by chance: otherwise the arm is not counted
MOST = 0.5  # of the decisions, which arms of known rates must have
OTHERS = 0.03  # of a day's offers, that are of other arms than usual
CELL_REWARDS = 20.0  # that an arm's rate over all segments is worth, against its own within one
CELL_ARMS = 40  # as features/health/groups.py tells apart within a segment


@dataclass(frozen=True, eq=False)
class Streams:
    """(group, key) → (T, 3): decisions as they count, Σr, Σr²; the `whole` course; and by group, how much wider than
    chance its streams vary, where arms come and go."""

    sums: Mapping[tuple[str, str], F64]
    whole: Whole
    wider: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ByArms:
    """Arms of known rates: rows that `offered` them (T, A), their `own` sums (T, A, 3), and what hours are worth."""

    arms: Sequence[str]
    offered: F64
    own: F64
    exposure: Exposure


def in_range(sums: F64, limits: tuple[float, float]) -> F64:
    """Returns (T, 3): n, Σr, Σr² of rewards that are moved from `limits` to [0, 1]."""
    low, high = limits
    width = max(high - low, 1e-12)
    n, s, square = sums[:, 0], sums[:, 1], sums[:, 2]
    return np.stack([n, (s - low * n) / width, (square - 2 * low * s + low * low * n) / width**2], axis=1)


def watched(sums: F64, what: str, limits: tuple[float, float]) -> F64:
    """Returns (T, 3) of the reward within [0, 1], or of whether there was one."""
    return in_range(sums, limits) if what == MEAN else sums[:, [0, 3, 3]]


@lru_cache(maxsize=2)
def streams(view: View, what: str, limits: tuple[float, float]) -> Streams:
    """Returns what is watched of a view. `limits`: the range of a reward."""
    sums = _sums(view, what, limits)
    every = by_arms(view, what, limits) if changing(view) else None
    if every is None:
        return Streams(sums, Whole(view, sums["all", ""]))
    sums["all", ""] = _counted(every.exposure.offer, every.own)
    cells = by_cell(view, what, limits) if len(view.history.sums["arm"]) <= CELL_ARMS else {}
    for key in view.history.sums["segment"]:
        mine = _of_segment(cells, key, every.arms) if cells else None
        sums["segment", key] = _segment(view, sums["segment", key], every, mine)
    whole = Whole(view, sums["all", ""])
    spread = {group: wider(view, [x for (of, _), x in sums.items() if of == group], whole) for group in GROUPS[1:]}
    return Streams(sums, whole, spread)


@lru_cache(maxsize=2)
def by_arms(view: View, what: str, limits: tuple[float, float]) -> ByArms | None:
    """Returns the arms of known rates; None where they do not make most of the decisions."""
    sums = _sums(view, what, limits)
    arms = known(view, sums)
    if not arms:
        return None
    offered = np.stack([view.history.offered[arm][:, 0] for arm in arms], axis=1)
    own = np.stack([sums["arm", arm] for arm in arms], axis=1)
    made = exposure(view, offered, own[..., 0], own[..., 1], prior=np.ones(len(arms)), worth=1.0)
    return ByArms(arms, offered, own, made)


def _sums(view: View, what: str, limits: tuple[float, float]) -> dict[tuple[str, str], F64]:
    return {(g, key): watched(x, what, limits) for g in GROUPS for key, x in view.history.sums[g].items()}


def by_cell(view: View, what: str, limits: tuple[float, float]) -> dict[str, F64]:
    """Returns "segment|arm" → (T, 3)."""
    return {key: watched(x, what, limits) for key, x in view.history.by_cell().items()}


def changing(view: View) -> bool:
    """True if other arms are on offer on some days than on others."""
    if not view.history.offered:
        return False
    rows = np.stack([x[:, 0] for x in view.history.offered.values()], axis=1)
    days = rows[: len(rows) // DAY_HOURS * DAY_HOURS].reshape(-1, DAY_HOURS, rows.shape[1]).sum(axis=1)
    days = days[days.sum(axis=1) > 0]
    shares = days / days.sum(axis=1, keepdims=True)
    apart = np.abs(shares - rows.sum(axis=0) / max(float(rows.sum()), 1.0)).sum(axis=1) / 2
    chance = np.sqrt(rows.shape[1] / days.sum(axis=1))
    return bool((apart > OTHERS + chance).any())


def known(view: View, sums: Mapping[tuple[str, str], F64]) -> Sequence[str]:
    """Returns the arms whose rates are known; none where they do not make most of the decisions, then and now."""
    every = sums["all", ""][:, 0]
    total, now = max(float(view.base(every).sum()), 1.0), max(float(view.recent(every).sum()), 1.0)
    arms, past, share = [], 0.0, 0.0
    for (group, arm), x in sums.items():
        if group != "arm" or arm not in view.history.offered:
            continue
        behind, mine = float(view.base(x)[..., 1].sum()), float(view.recent(x)[:, 0].sum()) / now
        if behind >= BEHIND and mine <= ERROR * np.sqrt(behind):
            arms.append(arm)
            past, share = past + float(view.base(x)[..., 0].sum()) / total, share + mine
    return arms if min(past, share) >= MOST else []


def _counted(q: F64, own: F64) -> F64:
    """Returns (T, 3) of arms (T, A, 3), each of whose decisions counts `q` (T,) times."""
    return np.stack([q * own[..., 0].sum(axis=1), own[..., 1].sum(axis=1), own[..., 2].sum(axis=1)], axis=1)


def _of_segment(cells: Mapping[str, F64], segment: str, arms: Sequence[str]) -> F64:
    """Returns (T, A, 3) of the arms within a segment."""
    nothing = np.zeros_like(next(iter(cells.values())))
    return np.stack([cells.get(f"{segment}|{arm}", nothing) for arm in arms], axis=1)


def _segment(view: View, sums: F64, every: ByArms, own: F64 | None) -> F64:
    """Returns (T, 3) of a segment, whose members may like other arms than all do. Where its arms are not all told apart
    (`own` is None), its decisions count as all do."""
    if own is None or not view.base(own)[..., 0].any():
        return np.stack([sums[:, 0] * every.exposure.offer, sums[:, 1], sums[:, 2]], axis=1)
    rate = every.exposure.rate
    mine = exposure(view, every.offered, own[..., 0], own[..., 1], prior=rate, worth=CELL_REWARDS)
    return _counted(mine.offer, own)
