"""Is the log what it says it is? No second log is needed: the logged pmf says what the draws must look like.

Whatever f is, the chosen arm's f(x, A) − Σ_a p(a|x) f(x, a) has mean zero if A was drawn from p after x was known.
`propensity` takes an f of the propensities alone; models/ope/leaks/ takes features, models/ope/agreement.py what the
estimators make of them.
"""

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr, ndtri

from croupier.features.batch import F64, I64, Bool, Interactions
from croupier.features.budgets.allocated_item import one_of_each
from croupier.features.encoded.on_disk import blocks, zeros
from croupier.features.encoding.fits.quantiles import quantiles
from croupier.models.ope.kept_arms.repeats import keeps
from croupier.models.ope.kept_arms.repeats import one_of_each as of_each_unit
from croupier.models.ope.unchecked import Unchecked

ROUNDING = 1e-4  # of a logged probability, relatively: six digits, float32, or a percentage with two decimals
LOOKS_FROM = 1000.0  # rows at which looking often costs least; [gate] min_rows
ONE_PROBABILITY = "the log has the drawn arm's probability alone"


def propensity_values(log: Interactions) -> F64:
    """(n, 2), each column with mean zero: 1/(K p) − 1, K counting the arms of p > 0, and whether the likeliest arm was
    drawn, less its probability.

    The first finds a wrong floor in the rare draws, the second in the frequent ones; a log that knows the drawn arm's
    probability only has just the first."""
    found = zeros((len(log), 2 if knows_whole_pmf(log) else 1))
    for rows in blocks(len(log)):
        part = log[rows]
        found[rows, 0] = 1.0 / (_drawable(part).sum(axis=1) * part.propensity) - 1.0
        if found.shape[1] > 1:
            top = _likeliest(part)
            found[rows, 1] = (part.chosen == top) - part.pmf[np.arange(len(part)), top]
    return found


def _likeliest(log: Interactions) -> I64:
    """Returns (n,) the arm of the greatest logged probability. Probabilities that differ by rounding alone are equal:
    the first of them is taken, since the last bit of (1 − p)/(K − 1) must not tell which arm was drawn."""
    top = log.pmf.max(axis=1, keepdims=True)
    return np.asarray((log.pmf >= top * (1.0 - ROUNDING)).argmax(axis=1), np.int64)


def propensity_spread(log: Interactions) -> F64:
    """Returns (2,) standard deviations of the same columns where the log tells the truth: √(Σ 1/p / K² − 1) and √(p(1 −
    p))."""
    total = np.zeros(2)
    for rows in blocks(len(log)):
        part = log[rows]
        drawable, top = _drawable(part), part.pmf.max(axis=1)
        inverse = np.where(drawable, 1.0 / np.where(drawable, part.pmf, 1.0), 0.0).sum(axis=1)
        variance = np.stack([inverse / drawable.sum(axis=1) ** 2 - 1.0, top * (1.0 - top)], axis=1)
        total += np.maximum(variance, 0.0).sum(axis=0)
    return np.asarray(np.sqrt(total / len(log)))


def _drawable(log: Interactions) -> Bool:
    return log.batch.mask & (log.pmf > 0)


def knows_whole_pmf(log: Interactions) -> bool:
    """False where every row spreads the rest of its mass evenly over the arms not drawn, and the log is not uniform:
    an imported log with one propensity a row (features/exchange, `spread`). A real policy's greedy arm is sometimes
    not the one drawn, and then the others differ."""
    uniform, some = True, False
    for rows in blocks(len(log)):
        part = log[rows]
        mask, drawn = part.batch.mask, np.arange(part.pmf.shape[1]) == part.chosen[:, None]
        rest = np.where(mask & ~drawn, part.pmf, np.nan)[mask.sum(axis=1) > 2]
        if np.any(np.nanmax(rest, axis=1, initial=-np.inf) - np.nanmin(rest, axis=1, initial=np.inf) >= 1e-9):
            return True
        here = part.pmf[np.arange(len(part)), part.chosen] * mask.sum(axis=1)
        uniform = uniform and bool(np.all(np.abs(here - 1.0) < 10 * ROUNDING))
        some = some or len(rest) > 0
    return uniform or not some


def rows_drawn_alone(log: Interactions) -> list[slice | I64 | Bool]:
    """Samples of a log in which each row is a draw of its own: all rows; or one item of each request to allocate; or,
    where units keep their arm, the first row of each unit, and a later one of each. What was drawn together is no
    independent evidence. Each sample is asked, and the smallest p-value is multiplied by their number."""
    if log.batch.allocation is not None:
        return [one_of_each(log.batch.allocation, len(log))]
    return [*of_each_unit(log)] if keeps([log]) else [slice(None)]


def drawn_row_by_row(log: Interactions) -> bool:
    """True where each row was drawn by itself, from a pmf that is known: only then can bets be made row by row."""
    return log.batch.allocation is None and knows_whole_pmf(log) and not keeps([log])


def p_value(values: F64, expected: F64 | float = 0.0, *, tolerance: float = 0.0) -> float:
    """Smallest two-sided p of the columns' means (n, m) being zero, times how many independent tests they amount to.
    A column without spread (a rare arm that never came up yet) is held against the `expected` standard deviation, and
    where that is 0 as well it must be zero itself. A mean within `tolerance` of zero is zero."""
    if values.shape[1] == 0:
        return 1.0
    mean, together = _moments(values)
    found = np.sqrt(np.diagonal(together))
    spread = np.where(found > 1e-9, found, expected)
    excess = np.maximum(np.abs(mean) - tolerance, 0.0)
    z = excess / np.maximum(spread / np.sqrt(len(values)), 1e-12)
    p = np.where(spread > 1e-9, 2 * ndtr(-z), (excess < 1e-6).astype(float))
    some = found > 1e-9
    return float(min(1.0, _independent(together[np.ix_(some, some)] / np.outer(found[some], found[some])) * p.min()))


def _moments(values: F64) -> tuple[F64, F64]:
    """Means (m,) and covariances (m, m) of columns (n, m), in two passes over blocks of rows."""
    n = len(values)
    mean = sum(values[rows].sum(axis=0) for rows in blocks(n)) / n
    apart = (values[rows] - mean for rows in blocks(n))
    return mean, np.asarray(sum(part.T @ part for part in apart) / (n - 1))


def _independent(correlation: F64) -> float:
    """1 + (m − 1)(1 − Var(λ) / m), λ the eigenvalues of the m columns' correlations (Cheverud 2001): m where they are
    uncorrelated, 1 where they say the same."""
    m = len(correlation)
    if m < 2:
        return 1.0
    return 1.0 + (m - 1) * (1.0 - float(np.var(np.linalg.eigvalsh(correlation), ddof=1)) / m)


def propensity(log: Interactions, *, often: bool = False) -> float:
    """p-value that the logged propensities are those of the draws, up to rounding in the fifth digit. `often`: of a log
    that grows and is asked at every look; the p-value then holds at all of them together."""
    parts = [log[rows] for rows in rows_drawn_alone(log)]
    p = min(1.0, len(parts) * min(map(_propensity, parts)))
    return at_all_looks(p, len(parts[0])) if often else p


def _propensity(log: Interactions) -> float:
    values = propensity_values(log)
    return p_value(values, propensity_spread(log)[: values.shape[1]], tolerance=ROUNDING)


def at_all_looks(p: float, n: int) -> float:
    """A two-sided normal p-value after n rows as one that holds at every n: 1/E of the Gaussian mixture's e-value
    E = √(1/(1 + n/m)) exp(z² n / 2(n + m)), m = LOOKS_FROM rows (Robbins 1970, "Statistical methods related to the law
    of the iterated logarithm"; Howard, Ramdas, McAuliffe & Sekhon 2021, eq. 14)."""
    share = n / (n + LOOKS_FROM)
    log_e = 0.5 * np.log1p(-share) + 0.5 * share * float(ndtri(max(p, 1e-300) / 2)) ** 2
    return float(min(1.0, np.exp(-log_e)))


def propensity_unchecked(log: Interactions) -> tuple[Unchecked, ...]:
    """What `propensity` could not ask: with one probability a row, whether the likeliest arm was drawn as often as
    logged. 1/(K p) is asked of every log, so this is stated and does not block."""
    if knows_whole_pmf(log):
        return ()
    return (Unchecked(name="propensity_self_test:likeliest_arm", reason=ONE_PROBABILITY, blocks=False),)


def repeated_draws(log: Interactions) -> tuple[Unchecked, ...]:
    """Says so where units keep their arm: no row of a unit but two are asked about the draw, each apart."""
    if log.batch.allocation is not None or not keeps([log]):
        return ()
    units = len(np.unique(log.unit))
    why = (
        f"units keep their arm, as in an A/B test: {len(log):,} rows are {units:,} draws, and the first row and "
        "one other of each unit were asked"
    )
    return (Unchecked(name="propensity_self_test:repeated_draws", reason=why, blocks=False),)


def _pairs(log: Interactions) -> Iterator[tuple[F64, Bool]]:
    """Yields the probabilities of candidates, and whether they were drawn, of some rows at a time."""
    for rows in blocks(len(log)):
        mask = log.batch.mask[rows]
        yield log.pmf[rows][mask], (np.arange(mask.shape[1]) == log.chosen[rows, None])[mask]


def calibration(log: Interactions, *, bins: int = 10) -> list[dict[str, float]]:
    """Over all (round, arm) pairs in bins of the logged probability: its mean, how often such arms were drawn, and
    how many pairs. Mean and frequency agree in a log that tells the truth."""
    n = sum(int(np.count_nonzero(log.batch.mask[rows])) for rows in blocks(len(log)))
    edges = np.unique(quantiles(lambda: (p for p, _ in _pairs(log)), n, np.linspace(0, 1, bins + 1).tolist()))
    count, mean, rate = np.zeros((3, max(len(edges) - 1, 1)))
    for p, hit in _pairs(log):
        place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, len(count) - 1)
        count += np.bincount(place, minlength=len(count))
        mean += np.bincount(place, p, minlength=len(count))
        rate += np.bincount(place, hit, minlength=len(count))
    return [
        {"pmf": float(m / c), "frequency": float(r / c), "pairs": float(c)}
        for m, r, c in zip(mean, rate, count, strict=True)
        if c
    ]
