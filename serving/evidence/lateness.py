"""Do rewards come late, or not at all, more often for one role than for the other? Then neither mean can be believed.

A reward past its window does not count, so a role whose rewards travel more slowly (a heavier page, another device)
looks worse than it is, and the other one better. Of the decisions that were rewarded, on time or late, each role has a
share that was late; if both have the same, whatever it is,

    e = ∏ Beta-mixture likelihood of each role's own share / the greatest likelihood of one share for both

has expected value 1 or less at every look at once (universal inference, Wasserman, Ramdas & Balakrishnan 2020).
Where nearly every decision is answered by some reward, those without any are compared in the same way.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, xlog1py, xlogy

from croupier.features.batch import F64, Bool
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.models.ope.estimators import design_effect

ALPHA = 0.002
PRIOR = (0.5, 9.5)  # Beta: a late one in twenty
ANSWERED = 0.9  # share of decisions with a reward, from which on one without is missing


def log_e(late: ArrayLike, of: ArrayLike, other_late: ArrayLike, other_of: ArrayLike) -> F64:
    """Returns the log evidence that two shares differ; shapes broadcast."""
    k1, n1, k0, n0 = (np.asarray(x, np.float64) for x in (late, of, other_late, other_of))
    apart = sum(betaln(PRIOR[0] + k, PRIOR[1] + n - k) - betaln(*PRIOR) for k, n in ((k1, n1), (k0, n0)))
    k, n = k1 + k0, n1 + n0
    p = k / np.maximum(n, 1.0)
    return np.asarray(apart - xlogy(k, p) - xlog1py(n - k, -p))


Names = tuple[str, str]
BOTH: Names = (CANDIDATE, CHAMPION)


def uneven(on_time: Bool, late: Bool, candidate: Bool, unit: NDArray[np.uint64], *, names: Names = BOTH) -> list[str]:
    """Returns which role's rewards are late, or missing, more often than the other's; [] if neither's are shown to be.

    All (n,): whether a decision was rewarded on time, whether late, whose it was, and by which unit."""
    known = on_time | late
    found = _shown("late", late[known], candidate[known], unit[known], names=names)
    if known[~candidate].any() and known[~candidate].mean() >= ANSWERED:
        found += _shown("missing", ~known, candidate, unit, names=names)
    return found


def _shown(what: str, bad: Bool, candidate: Bool, unit: NDArray[np.uint64], *, names: Names) -> list[str]:
    n = [int(candidate.sum()), int((~candidate).sum())]
    k = [int(bad[candidate].sum()), int(bad[~candidate].sum())]
    if not (min(n) and max(k)):
        return []
    effect = design_effect(bad - bad.mean(), np.unique(unit, return_inverse=True)[1])
    if log_e(k[0], n[0], k[1], n[1]) / effect < np.log(1 / ALPHA):
        return []
    worse = int(k[1] * n[0] > k[0] * n[1])
    return [f"rewards of the {names[worse]} are {what} more often than those of the {names[1 - worse]}"]


def counts(on_time: Bool, late: Bool, candidate: Bool) -> dict[str, int]:
    """Decisions of either side that were rewarded on time, and of those whose reward was late, for the history."""
    sides = {CANDIDATE: candidate, CHAMPION: ~candidate}
    fates = {"on_time": on_time & ~late, "late": late}
    return {f"{side}_{fate}": int((who & of).sum()) for side, who in sides.items() for fate, of in fates.items()}
