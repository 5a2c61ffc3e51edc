"""Does it still explore? Entropy of the pmf against its own past, and the share of each arm that can be selected."""

from functools import partial

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.history import EXPLORE
from croupier.models.health.residuals import of_level
from croupier.models.health.season import DAY_HOURS, View
from croupier.models.health.symptom import TO_WATCH, Signal, Symptom, Told

FALL = 0.1  # of normalised entropy within the baseline's time, from which it is acted on
COVERAGE = 0.01  # mean probability of an arm where it is offered (a published rule of thumb)
OFFERED = 1000  # rows of a day that offered an arm, before its share says anything


def signals(view: View) -> list[Signal]:
    """Returns the signal of the normalised entropy of selections."""
    y = entropy(view.history.explore)
    if np.isfinite(y).sum() < view.P:
        return []
    asked = view.history.explore[:, EXPLORE.index("n")]
    z, c, due = of_level(view, y, asked, least=0.005)
    return [Signal(watch="exploration", about="entropy", z=-z, c=c, tell=partial(_tell, view, due))]


def entropy(explore: F64) -> F64:
    """Returns (T,) the mean normalised entropy of each hour; NaN where nobody had a choice."""
    n = explore[:, EXPLORE.index("n")]
    return np.where(n > 0, explore[:, EXPLORE.index("entropy")] / np.maximum(n, 1.0), np.nan)


def _tell(view: View, due: F64, since: int) -> Told:
    now = float(np.nanmean(view.recent(entropy(view.history.explore))[since:]))
    before = float(due[since:].mean())
    says = f"selections have converged: normalised entropy {now:.2f}, {before:.2f} in the same hours of past weeks"
    remedy = "was that meant? Else `croupier rollout rollback`, and raise [policies] floor"
    return Told(
        cause="premature_convergence",
        number=now,
        threshold=before - FALL,
        says=says,
        remedy=remedy,
        serious=before - now > FALL,
    )


def starved(view: View) -> list[Symptom]:
    """Arms that can be selected and hardly are: by their probability, which is known exactly, over the last day."""
    out = []
    for arm, offered in view.history.offered.items():
        n, p = offered[-DAY_HOURS:].sum(axis=0)
        if n >= OFFERED and p / n < COVERAGE:
            out.append(_starved(view, arm, offered, float(p / n)))
    return out


def _starved(view: View, arm: str, offered: F64, share: float) -> Symptom:
    above = np.flatnonzero(offered[:, 1] >= COVERAGE * np.maximum(offered[:, 0], 1e-9))
    first = int(above[-1]) + 1 if len(above) else 0
    since = int(view.history.start[min(first, len(offered) - 1)])
    says = f"arm {arm} is selected in {share:.2%} of the decisions that offer it: nothing more is learnt of it"
    remedy = f"raise [policies] floor, or `croupier arm retire {arm}`"
    return Symptom(
        watch="coverage",
        about=f"arm {arm}",
        level=TO_WATCH,
        cause="coverage",
        number=share,
        threshold=COVERAGE,
        since=since,
        says=says,
        remedy=remedy,
    )
