"""What a reader of a verdict asks next: where, when, for whom, on which arms, and can the log be believed?

Everything comes from the same per-round values as the verdict, and is plain JSON. These numbers explain a decision;
they take no part in it, except that the report says where the days of the log disagree.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.special import chdtrc

from croupier.features.batch import F64, I64, Catalogue, Floats, Interactions
from croupier.features.encoded.columns import by_number, column, counted, mean, rising
from croupier.features.encoded.labels import RowLabels
from croupier.features.encoded.on_disk import blocks, zeros
from croupier.features.encoding.fits.quantiles import quantiles
from croupier.features.utc import DAY
from croupier.models.ope import estimators as off_policy
from croupier.models.ope import self_tests
from croupier.models.ope.estimators import Moments, Rounds
from croupier.models.ope.intervals import clt, cressie_read
from croupier.models.ope.reward_model import of_drawn

REPORTED: dict[str, off_policy.Estimator] = off_policy.ESTIMATORS | {
    "clipped_ips": off_policy.clipped_ips,
    "sndr": off_policy.sndr,
    "switch_dr": off_policy.switch_dr,
    "dr_os": off_policy.dr_os,
}
BLOCKS, SEGMENT_VALUES, SEGMENT_ROWS, ARMS = 6, 8, 50, 12
AGES = {"arms under a day old": 1, "arms of 1 to 7 days": 7, "arms of 8 to 30 days": 30, "older arms": np.inf}
MOST_CLUSTERED = 2000  # arms
Labelled = RowLabels | Sequence[str] | pl.Series  # a label a row


def estimators(rounds: Rounds, alpha: float) -> dict[str, dict[str, float]]:
    """Value and two-sided 1 − alpha interval by each estimator: by the CLT; SNIPS's by Cressie–Read."""
    found = {}
    for name, estimator in REPORTED.items():
        found[name] = interval(estimator(rounds), rounds.thinning, alpha)
    r, once = rounds.reward, mean(rounds.thinning)
    thinned = rounds.by_rows(lambda part: part.weight * (part.thinning / once))
    likely = cressie_read(thinned, r, alpha=alpha / 2, low=float(r.min()), high=float(r.max()))
    value = found["snips"]["value"]
    found["snips"] |= {"lower": min(value, likely.lower), "upper": max(value, likely.upper)}
    return found


def interval(values: F64, thinning: F64, alpha: float) -> dict[str, float]:
    """Returns mean and interval of thinned values, by the central limit theorem at level α."""
    moments = Moments.of(off_policy.unthinned(values, thinning))
    bounds = clt(moments, alpha=alpha / 2)
    return {"value": moments.mean, "lower": bounds.lower, "upper": bounds.upper}


def arm_groups(catalogue: Catalogue) -> I64 | None:
    """Returns (A,) about √A groups of arms with like features (Ward), for MIPS; None where no two arms are more alike
    than others, or the catalogue is large."""
    x = catalogue.features.astype(np.float64)
    if not 3 < len(x) <= MOST_CLUSTERED or x.shape[1] == 0:
        return None
    tree = linkage((x - x.mean(axis=0)) / np.where(x.std(axis=0) > 1e-9, x.std(axis=0), np.inf), "ward")
    group = fcluster(tree, max(2, round(np.sqrt(len(x)))), "maxclust")
    first = tree[: len(x) // 2, 2]  # heights of the first merges: all equal where features only tell arms apart
    return None if first[0] > 1e-9 and np.ptp(first) < 1e-9 else np.asarray(group, np.int64) - 1


def weights(rounds: Rounds) -> list[dict[str, float]]:
    """Histogram of w = π/p on powers of two: from, to, rounds, and their share of the sum of weights."""
    w = rounds.weight
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-6, max(-5, int(np.ceil(np.log2(max(w.max(), 1e-9))))) + 1)])

    def place(rows: slice) -> I64:
        return np.clip(np.searchsorted(edges, w[rows], side="left") - 1, 0, len(edges) - 2)

    number = column(len(w), place, np.int16)
    count, total = counted(number, len(edges) - 1), by_number(number, w, size=len(edges) - 1)
    return [
        {"from": float(a), "to": float(b), "rounds": float(c), "share": float(t / max(total.sum(), 1e-300))}
        for a, b, c, t in zip(edges[:-1], edges[1:], count, total, strict=True)
    ]


def reward_calibration(log: Interactions, predicted: Floats, *, bins: int = 8) -> list[dict[str, float]]:
    """Mean out-of-fold prediction and mean reward of the logged arms, in equal bins of the prediction; those that are
    equal are in one bin."""
    q = of_drawn(log, predicted)
    shares = np.linspace(0, 1, bins + 1)[1:-1].tolist()
    edges = np.unique(quantiles(lambda: (q[rows] for rows in blocks(len(q))), len(q), shares))
    number = column(len(q), lambda rows: np.searchsorted(edges, q[rows], side="right"), np.int8)
    predictions, rewards = _moments_of(number, q), _moments_of(number, log.reward)
    return [
        {
            "predicted": guess.mean,
            "reward": reward.mean,
            "rounds": reward.n,
            "error": float(np.sqrt(reward.m2)) / reward.n,
        }
        for guess, reward in zip(predictions, rewards, strict=True)
        if reward.n
    ]


def over_time(lift: F64, at: I64, *, blocks: int = BLOCKS) -> dict[str, Any]:
    """Lift in consecutive blocks of rounds, and the p-value that all blocks have one lift (Cochran's Q)."""
    ends = [len(at) * k // blocks for k in range(blocks + 1)]
    if not rising(at):
        order = np.argsort(at, kind="stable")
        lift, at = lift[order], at[order]
    parts = [slice(start, end) for start, end in pairwise(ends) if end - start > 1]
    moments = [Moments.of(lift[part]) for part in parts]
    rows = [
        {"from": int(at[part.start]), "to": int(at[part.stop - 1])} | _interval(m)
        for part, m in zip(parts, moments, strict=True)
    ]
    error = np.array([m.standard_error for m in moments])
    if len(moments) < 2 or np.any(error < 1e-12):
        return {"blocks": rows, "p_value": 1.0}
    mean, precision = np.array([m.mean for m in moments]), 1.0 / error**2
    q = float(precision @ (mean - (precision @ mean) / precision.sum()) ** 2)
    return {"blocks": rows, "p_value": float(chdtrc(len(moments) - 1, q))}


def by_segment(lift: F64, segments: Mapping[str, Labelled]) -> dict[str, list[dict[str, Any]]]:
    """Lift among the rounds of each value of each segment, largest first; values with few rounds are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, given in segments.items():
        labels = RowLabels.of(given)
        each = sorted(
            zip(labels.distinct, _moments_of(labels.place, lift), strict=True), key=lambda of: (-of[1].n, of[0])
        )
        large = [(value, moments) for value, moments in each[:SEGMENT_VALUES] if moments.n >= SEGMENT_ROWS]
        found[name] = [{"value": value} | _interval(moments) for value, moments in large]
    return found


def _moments_of(number: NDArray[Any], values: F64) -> list[Moments]:
    """The moments of the values of each number; `number` (n,) counts from 0."""
    count = counted(number)
    means = by_number(number, values) / np.maximum(count, 1)
    apart = by_number(number, column(len(values), lambda rows: np.square(values[rows] - means[number[rows]])))
    return [Moments(float(n), float(m), float(m2)) for n, m, m2 in zip(count, means, apart, strict=True)]


def by_age(log: Interactions, pmfs: tuple[F64, F64], predicted: Floats, born: I64) -> list[dict[str, Any]]:
    """What arms of each age add to the lift: DR's terms of those arms alone, so that the parts sum to the whole.

    pmfs (n, K) of the candidate and of the champion; born (A,) when each arm of the catalogue came, UTC µs, 0 long ago.
    Inline arms came with the request. Empty where all arms are of one age."""
    terms, there, rounds = zeros((len(AGES), len(log))), np.zeros(len(AGES), np.bool_), np.zeros(len(AGES))
    for rows in blocks(len(log)):
        part, gap, q = log[rows], pmfs[0][rows] - pmfs[1][rows], predicted[rows]
        here = np.arange(len(part)), part.chosen
        place, residual = _ages(part, born), gap[here] / part.propensity * (part.reward - q[here])
        for k in range(len(AGES)):
            inside = place == k
            terms[k, rows] = (gap * q * inside).sum(axis=1) + residual * inside[here]
            there[k] |= inside.any()
            rounds[k] += inside[here].sum()
    found = [
        {"value": label}
        | _interval(Moments.of(off_policy.unthinned(terms[k], log.weight)))
        | {"rounds": float(rounds[k])}
        for k, label in enumerate(AGES)
        if there[k]
    ]
    return found if len(found) > 1 else []


def _ages(log: Interactions, born: I64) -> I64:
    """(n, K): the place of each candidate's age in AGES, −1 where masked."""
    inline = log.batch.arm >= log.batch.catalogue.size
    since = np.append(born, 0)[np.where(inline, len(born), log.batch.arm)]
    since = np.where(inline, log.at[:, None], since)
    age = np.where(since > 0, (log.at[:, None] - since) / DAY, np.inf)
    place = np.where(log.batch.mask, np.searchsorted(list(AGES.values()), age, side="left"), -1)
    return np.asarray(np.minimum(place, len(AGES) - 1))


def by_arm(log: Interactions, candidate: F64, champion: F64) -> list[dict[str, Any]]:
    """The arms whose share of decisions would change most: share logged, by champion, by candidate, and clicks seen."""
    ids, place = np.unique(np.array(log.batch.catalogue.ids, np.object_), return_inverse=True)
    if log.batch.catalogue.published is None:
        ids, place = np.array(log.batch.catalogue.ids, np.object_), np.arange(len(log.batch.catalogue.ids))
    size, (shown, reward), shares = len(ids), np.zeros((2, len(ids))), np.zeros((3, len(ids)))
    for rows in blocks(len(log)):
        arm, mask = place[log.batch.arm[rows]], log.batch.mask[rows]
        for i, pmf in enumerate((log.pmf, champion, candidate)):
            shares[i] += np.bincount(arm[mask], pmf[rows][mask], minlength=size)
        drawn = arm[np.arange(len(arm)), log.chosen[rows]]
        shown += np.bincount(drawn, minlength=size)
        reward += np.bincount(drawn, log.reward[rows], minlength=size)
    shares /= len(log)
    order = np.argsort(-np.abs(shares[2] - shares[1]), kind="stable")[:ARMS]
    return [
        {
            "arm": ids[j],
            "logged": float(shares[0][j]),
            "champion": float(shares[1][j]),
            "candidate": float(shares[2][j]),
            "rounds": int(shown[j]),
            "mean_reward": float(reward[j] / shown[j]) if shown[j] else None,
        }
        for j in order
    ]


def of_log(log: Interactions, predicted: Floats, *, units: int) -> dict[str, Any]:
    """What holds whatever the candidate; `units`: how many there are."""
    return {
        "propensities": self_tests.calibration(log),
        "rewards": reward_calibration(log, predicted),
        "units": units,
        "from": int(log.at.min()),
        "to": int(log.at.max()),
    }


def _interval(moments: Moments) -> dict[str, float]:
    bounds = clt(moments, alpha=0.025)
    return {"lift": moments.mean, "lower": bounds.lower, "upper": bounds.upper, "rounds": moments.n}
