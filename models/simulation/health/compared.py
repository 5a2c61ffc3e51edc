"""Published rules on the same hourly figures: each says what it would name at the end of a history, or "".

20 %        the reward of a day is 20 % off that of the same day a week ago
entropy     normalised selection entropy of an hour below 0.5
coverage    an arm that can be selected had less than 1 % of a day's decisions
correlation a feature's correlation with the reward fell below 0.1 within a week
BanditDB    normalised entropy of a day's traffic below 0.4, 500 decisions or more, and no arm's 95 % interval above
            all others' (its README, "Entropy Alerting"); the traffic of a day stands for that of a campaign
Evidently   its default tests of a day against the week before (evidently_tests.py): half of the columns, or any
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.history import History
from croupier.models.health.season import DAY_HOURS, WEEK_HOURS
from croupier.models.health.watches.exploration import entropy
from croupier.models.simulation.health import evidently_tests

LEAST_R = 0.1


def reward_20(history: History) -> str:
    """The rule of 20 %."""
    every = history.sums["all"][""]
    now, before = every[-DAY_HOURS:].sum(axis=0), every[-DAY_HOURS - WEEK_HOURS : -WEEK_HOURS].sum(axis=0)
    if not now[0] or not before[1]:
        return ""
    return "rewards_lost" if abs((now[1] / now[0]) / (before[1] / before[0]) - 1) > 0.2 else ""


def entropy_half(history: History) -> str:
    """The rule of 0.5."""
    return "premature_convergence" if np.nan_to_num(entropy(history.explore)[-1], nan=1.0) < 0.5 else ""


def coverage(history: History) -> str:
    """The rule of 1 %."""
    total = max(float(history.n[-DAY_HOURS:].sum()), 1.0)
    shown = {arm: float(sums[-DAY_HOURS:, 0].sum()) for arm, sums in history.sums["arm"].items()}
    asked = [arm for arm, rows in history.offered.items() if rows[-DAY_HOURS:, 0].sum() > 0]
    return "coverage" if any(shown.get(arm, 0.0) / total < 0.01 for arm in asked) else ""


def association(history: History) -> str:
    """The rule of 0.1 for |r|: a feature had told something a week ago, and does not now."""
    for name, feature in history.features.items():
        now, before = (
            _r(feature.reward[part]) for part in (slice(-DAY_HOURS, None), slice(-DAY_HOURS - WEEK_HOURS, -WEEK_HOURS))
        )
        if abs(before) >= LEAST_R > abs(now):
            return f"feature {name}"
    return ""


def _r(rows: F64) -> float:
    """Pearson's r of the hours together, hours that differ in level included."""
    n, mx, sx, mr, sr, sxr = rows.T
    total = max(float(n.sum()), 1.0)
    gx, gr = (n * mx).sum() / total, (n * mr).sum() / total
    xx, rr = (sx + n * (mx - gx) ** 2).sum(), (sr + n * (mr - gr) ** 2).sum()
    return float((sxr + n * (mx - gx) * (mr - gr)).sum() / max(float(np.sqrt(xx * rr)), 1e-12))


def banditdb(history: History) -> str:
    """BanditDB's entropy alert."""
    sums = np.stack([rows[-DAY_HOURS:].sum(axis=0) for rows in history.sums["arm"].values()])
    n = sums[:, 0]
    if n.sum() < 500 or len(n) < 2:
        return ""
    p = n[n > 0] / n.sum()
    selected = float(-(p * np.log(p)).sum() / np.log(len(n)))
    return "premature_convergence" if selected < 0.4 and not _converged(sums) else ""


def _converged(sums: F64) -> bool:
    n, mean = sums[:, 0], sums[:, 1] / np.maximum(sums[:, 0], 1)
    error = 1.96 * np.sqrt(np.maximum(sums[:, 2] / np.maximum(n, 1) - mean**2, 1e-12) / np.maximum(n, 1))
    best = int(mean.argmax())
    others = np.delete(mean + error, best)
    return bool(mean[best] - error[best] > others.max(initial=0.0))


def evidently(history: History) -> str:
    """Evidently's preset: half of the columns drift."""
    found = evidently_tests.drifting(history)
    return "feature" if len(found) >= 0.5 * max(len(history.features), 1) else ""


def evidently_column(history: History) -> str:
    """Evidently's columns, each by itself: it names those that drift."""
    found = evidently_tests.drifting(history)
    return f"feature {' '.join(found)}" if found else ""


RULES: Mapping[str, Callable[[History], str]] = {
    "reward 20 %": reward_20, "entropy 0.5": entropy_half, "coverage 1 %": coverage, "correlation 0.1": association,
    "BanditDB": banditdb, "Evidently": evidently, "Evidently, any column": evidently_column,
}  # fmt: skip


def names(said: str, cause: str, touched: tuple[str, ...]) -> bool:
    """Whether what a rule said names a planted cause: the cause itself, or the feature that was touched."""
    return said == cause or (said.startswith("feature ") and any(name in said for name in touched))


def touched(trouble: Any) -> tuple[str, ...]:
    """The features that a trouble touches."""
    found = (trouble.frozen, trouble.scaled[0], *trouble.swapped, trouble.renamed[0])
    return tuple(f"context.{name}" for name in found if name)
