"""Where a tuning begins: with what came out best on logs that are like this one, and with some that nobody proposes.

It is a contextual bandit: its context is what a log is like, its arms are configurations, and its reward is where a
configuration came out in the order of a tuning. The reward is predicted by a kernel mean over the earlier logs
(Nadaraya 1964; Watson 1964; nearest data sets for the start of a search: Feurer, Springenberg & Hutter 2015), and every
third trial explores. Linear Thompson sampling over [data; configuration] was measured beside it, and needs more trials
(tests/benchmarks/RESULTS.md).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import norm

from croupier.features.batch import F64
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.data_features import NAMES
from croupier.models.tuning.earlier_tunings import EarlierTuning
from croupier.models.tuning.spaces import distinct

WIDTH = 0.7  # of the kernel, in standard deviations of a feature over the logs
EXPLORED = 3  # every third trial


def begun(
    cold: Sequence[Configuration], data: Mapping[str, float], earlier: Sequence[EarlierTuning]
) -> list[Configuration]:
    """Returns as many configurations as `cold` has, its first, which is the default, first: then those that the earlier
    tunings propose, and as every third the next of `cold`."""
    wanted, rest = proposed(data, earlier), list(cold[1:])
    found = list(cold[:1])
    while (wanted or rest) and len(found) < len(cold):
        explores = len(found) % EXPLORED == 0 or not wanted
        source = rest if explores and rest else wanted
        found = distinct([*found, source.pop(0)])
    return found


def proposed(data: Mapping[str, float], earlier: Sequence[EarlierTuning]) -> list[Configuration]:
    """Returns the configurations that are predicted to come out above the middle, the best first."""
    scores = predicted(data, earlier)
    by_key = {each.key: each for tuning in earlier for each in tuning.order}
    return [by_key[key] for key in sorted(scores, key=lambda key: (-scores[key], key)) if scores[key] > 0]


def predicted(data: Mapping[str, float], earlier: Sequence[EarlierTuning]) -> dict[str, float]:
    """Returns for each configuration of the earlier tunings, by its key, the mean of its normal scores, weighted by how
    alike the logs are. Where a tuning did not try it, it counts as one of the middle."""
    found, weights = dict[str, float](), likeness(data, [tuning.data for tuning in earlier])
    for weight, tuning in zip(weights, earlier, strict=True):
        for each, score in zip(tuning.order, normal_scores(len(tuning.order)), strict=True):
            found[each.key] = found.get(each.key, 0.0) + float(weight * score)
    return found


def likeness(data: Mapping[str, float], others: Sequence[Mapping[str, float]]) -> F64:
    """Returns (n,) how alike this log is to each of the others, adding up to 1: a normal kernel of the mean squared
    difference, each feature in its standard deviations over all of these logs."""
    every = np.array([[each.get(name, np.nan) for name in NAMES] for each in [data, *others]], np.float64)
    if not np.isfinite(every).all():
        raise ValueError(f"data: found features other than {', '.join(NAMES)}, expected these, as finite numbers")
    sd = every.std(axis=0)
    far = (((every[1:] - every[0]) / np.where(sd > 0, sd, 1.0)) ** 2).mean(axis=1) / (2 * WIDTH**2)
    kernel = np.exp(far.min(initial=np.inf) - far)  # the nearest counts however far all are
    return np.asarray(kernel / kernel.sum()) if len(kernel) else np.zeros(0)


def normal_scores(n: int) -> F64:
    """Returns (n,) the expected normal order statistics of ranks 1 to n, the best first: Blom 1958, α = 3/8."""
    return np.asarray(norm.ppf((n - np.arange(1, n + 1) + 0.625) / (n + 0.25)))
