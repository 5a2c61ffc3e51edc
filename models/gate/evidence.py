"""What the gate judges: paired lifts on the same rows, and a variance that unseen draws cannot flatter.

A log holds one draw a row. Where two policies differ on a few rare rows only, those draws may not have come up yet:
the sample's variance is then far too small, and a normal interval sure of itself. But the pmfs are known for every arm,
so the spread that weights *will* have is known exactly, D₂ = Σ_a (π₁ − π₀)² / p, and how unevenly it is spread,
D₄ = Σ_a (π₁ − π₀)⁴ / p³. With a reward model that knew nothing, the lift's variance would be mean(D₂) · Var(r): the
sample's variance is shrunk towards that, as if it were worth PRIOR_ROWS effective rows. GATE.md has the effect.

Rounds of one unit vary together where the candidate suits some units and not others: every variance is multiplied by
the design effect, so that a lift holds for units to come, not only for those that came most often.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64, Interactions
from croupier.models.gate.gate import Evidence
from croupier.models.gate.informative import Informative
from croupier.models.gate.unseen import Unseen
from croupier.models.ope import estimators
from croupier.models.ope.estimators import Moments, Rounds, effective_sample_size, effective_units, jackknife_effect
from croupier.models.ope.intervals import asymptotic_cs
from croupier.models.ope.mean_zero import BLOCK, inverse

PRIOR_ROWS = 10.0
CURVE_POINTS = 30


def evidence_of(
    candidate: Rounds,
    champion: Rounds,
    *,
    divergence: F64,
    self_test: float,
    unsupported: float,
    guardrails: Mapping[str, F64],
    unit: I64 | None = None,
    declared: tuple[float, float] | None = None,
    **more: Any,
) -> Evidence:
    """Candidate and champion as they see the same rows; `divergence` (n, 2) of the two, from `divergence()`; `unit`
    (n,) the rows' units, numbered (None: each row has its own); `declared` the range of a reward, where it is known;
    `more`: further fields of Evidence, as they are."""
    weight = candidate.weight * candidate.thinning
    lift = estimators.unthinned(estimators.dr(candidate) - estimators.dr(champion), candidate.thinning)
    return Evidence(
        lift=steadied(lift, divergence, candidate.reward, unit),
        second=_paired(candidate, champion, unit),
        rows=len(candidate),
        units=inf if unit is None else effective_units(unit),
        ess=effective_sample_size(weight),
        informative=Informative.of(candidate, champion),
        unseen=Unseen.of(candidate, champion, declared) if declared else None,
        largest_share=estimators.largest_share(weight),
        self_test=self_test,
        unsupported=unsupported,
        guardrails={
            name: _guarded(replace(candidate, reward=values), replace(champion, reward=values), divergence, unit)
            for name, values in guardrails.items()
        },
        **more,
    )


def divergence(log: Interactions, candidate: F64, champion: F64 | None = None) -> F64:
    """Returns (n, 2): E[Δw²] and E[Δw⁴] of each row over the arms the log could draw, Δw = (π₁ − π₀) / p; π₀ = 0 for
    the value of one policy."""
    possible = log.batch.mask & (log.pmf > 0)
    p = np.where(possible, log.pmf, 1.0)
    square = np.where(possible, candidate if champion is None else candidate - champion, 0.0) ** 2 / p
    return np.column_stack([square.sum(axis=1), (square * square / p).sum(axis=1)])


def steadied(values: F64, divergence: F64, reward: F64, unit: I64 | None = None) -> Moments:
    """Moments of per-round values whose variance is shrunk towards mean(D₂) · Var(reward), and holds for units.

    The sample's own variance counts as many rows as carry it: (Σ c)² / Σ c² with c the squared deviations, or the same
    of the weights as the pmfs foretell it, n mean(D₂)² / mean(D₄), whichever is less. A handful where a few rounds
    dominate, or could; thousands where none does."""
    moments = Moments.of(values)
    if moments.n < 2:
        return moments
    second, fourth = divergence.mean(axis=0)
    foretold = moments.n * second * second / fourth if fourth > 0 else inf
    carried = min(effective_sample_size(np.square(values - moments.mean)), foretold)
    prior = float(second) * float(reward.var())
    variance = (carried * moments.variance + PRIOR_ROWS * prior) / (carried + PRIOR_ROWS)
    return by_unit(replace(moments, m2=float(variance) * (moments.n - 1)), values, unit)


def by_unit(moments: Moments, values: F64, unit: I64 | None) -> Moments:
    """Multiplies the variance by the design effect of `values`."""
    return moments if unit is None else replace(moments, m2=moments.m2 * jackknife_effect(values, unit))


def as_it_grew(values: F64, divergence: F64, log: Interactions, *, alpha: float) -> list[dict[str, float]]:
    """What the gate would have seen after each part of the log, in order of time: rows, value, and bounds that hold at
    all of them at once."""
    order, found = np.argsort(log.at, kind="stable"), []
    for n in np.unique(np.linspace(max(2, len(log) / CURVE_POINTS), len(log), CURVE_POINTS).astype(int)):
        rows = order[:n]
        moments = steadied(values[rows], divergence[rows], log.reward[rows], log.unit_number[rows])
        bounds = asymptotic_cs(moments, alpha=alpha)
        found.append({"rows": float(n), "value": moments.mean, "lower": bounds.lower, "upper": bounds.upper})
    return found


def heaviest(log: Interactions, *pmfs: F64) -> float:
    """The largest weight π / p that a round could have had, for any of these policies."""
    blocks = (slice(start, start + BLOCK) for start in range(0, len(log), BLOCK))
    return max(float((pmf[rows] * inverse(log, rows)).max()) for rows in blocks for pmf in pmfs)


def unsupported(log: Interactions, pmf: F64) -> float:
    """Mean mass on arms the log could not have drawn: there, no weight can correct for what was never seen."""
    return float(np.where(log.batch.mask & (log.pmf <= 0.0), pmf, 0.0).sum(axis=1).mean())


def _paired(candidate: Rounds, champion: Rounds, unit: I64 | None) -> Moments:
    """Moments of the SNIPS lift, row by row on the same rows: what both policies share cancels."""
    lift = estimators.unthinned(estimators.snips(candidate) - estimators.snips(champion), candidate.thinning)
    return by_unit(Moments.of(lift), lift, unit)


def _guarded(candidate: Rounds, champion: Rounds, divergence: F64, unit: I64 | None) -> Moments:
    """Returns the moments of a guardrail's lift, with a variance that rare draws which did not come up cannot
    flatter."""
    lift = estimators.unthinned(estimators.snips(candidate) - estimators.snips(champion), candidate.thinning)
    return steadied(lift, divergence, candidate.reward, unit)
