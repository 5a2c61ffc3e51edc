"""A variance that unseen draws cannot flatter.

A log holds one draw a row. Where two policies differ on a few rare rows only, those draws may not have come up yet:
the sample's variance is then far too small, and a normal interval sure of itself. But the pmfs are known for every arm,
so the spread that weights *will* have is known exactly, D₂ = Σ_a (π₁ − π₀)² / p, and how unevenly it is spread,
D₄ = Σ_a (π₁ − π₀)⁴ / p³. With a reward model that knew nothing, the lift's variance would be mean(D₂) · Var(r): the
sample's variance is shrunk towards that, as if it were worth PRIOR_ROWS effective rows. GATE.md has the effect.

Rounds of one unit vary together where the candidate suits some units and not others: every variance is multiplied by
the design effect, so that a lift holds for units to come, not only for those that came most often.
"""

from dataclasses import replace
from math import inf

import numpy as np

from croupier.features.batch import F64, I64, Interactions
from croupier.features.encoded.columns import column, mean, squares
from croupier.features.encoded.on_disk import blocks, zeros
from croupier.models.ope.estimators import Moments, effective_sample_size, jackknife_effect

PRIOR_ROWS = 10.0
NO_SPREAD = 1e-9  # relative standard deviation below which differences are rounding


def divergence(log: Interactions, candidate: F64, champion: F64 | None = None) -> F64:
    """Returns (n, 3): E[Δw²], E[Δw⁴] and E[Δw³] of each row over the arms the log could draw, Δw = (π₁ − π₀) / p;
    π₀ = 0 for the value of one policy."""
    found = zeros((len(log), 3))
    for rows in blocks(len(log)):
        base = np.zeros(1) if champion is None else champion[rows]
        found[rows] = powers(_drawable(log, rows), candidate[rows], base)
    return found


def powers(log: F64, candidate: F64, champion: F64) -> F64:
    """Returns what the pmfs alone, (n, K) each, foretell; arms that the log could not draw have 0 there."""
    possible = log > 0
    p = np.where(possible, log, 1.0)
    gap = np.where(possible, candidate - champion, 0.0)
    square = gap * gap / p
    return np.column_stack([square.sum(axis=1), (square * square / p).sum(axis=1), (square * gap / p).sum(axis=1)])


def reach(log: Interactions, candidate: F64, champion: F64) -> F64:
    """Returns (n, 2): how far w₁ − w₀ could have gone above and below zero on each row, over the arms that the log
    could draw; known before the draw, as the log's pmf is."""
    found = zeros((len(log), 2))
    for rows in blocks(len(log)):
        found[rows] = extremes(_drawable(log, rows), candidate[rows], champion[rows])
    return found


def extremes(log: F64, candidate: F64, champion: F64) -> F64:
    """Returns what the pmfs alone foretell, as in `powers`."""
    gap = np.where(log > 0, (candidate - champion) / np.where(log > 0, log, 1.0), 0.0)
    return np.column_stack([np.maximum(gap.max(axis=1), 0.0), np.maximum(-gap.min(axis=1), 0.0)])


def _drawable(log: Interactions, rows: slice) -> F64:
    return np.asarray(np.where(log.batch.mask[rows], log.pmf[rows], 0.0))


def steadied(values: F64, divergence: F64, reward: F64, unit: I64 | None = None) -> Moments:
    """Moments of per-round values whose variance is shrunk towards mean(D₂) · Var(reward), and holds for units. The
    sample's own variance counts as many rows as carry it."""
    moments = Moments.of(values)
    if moments.n < 2:
        return moments
    second, carried = mean(divergence[:, 0]), carried_by(values, divergence)
    prior = second * squares(reward, mean(reward)) / len(reward)
    variance = (carried * moments.variance + PRIOR_ROWS * prior) / (carried + PRIOR_ROWS)
    return by_unit(replace(moments, m2=float(variance) * (moments.n - 1)), values, unit)


def carried_by(values: F64, divergence: F64) -> float:
    """How many rows carry the variance of these values: (Σ c)² / Σ c² with c the squared deviations, or the same of the
    weights as the pmfs foretell it, n mean(D₂)² / mean(D₄), whichever is less. A handful where a few rounds dominate,
    or could; thousands where none does."""
    second, fourth, middle = mean(divergence[:, 0]), mean(divergence[:, 1]), mean(values)
    foretold = len(values) * (second * second / fourth) if fourth > 0 else inf
    apart = column(len(values), lambda rows: np.square(values[rows] - middle))
    return min(effective_sample_size(apart), foretold)


def by_unit(moments: Moments, values: F64, unit: I64 | None) -> Moments:
    """Multiplies the variance by the design effect of `values`."""
    return moments if unit is None else replace(moments, m2=moments.m2 * jackknife_effect(values, unit))
