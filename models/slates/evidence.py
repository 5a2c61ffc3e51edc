"""What the gate is told of two slate policies: the lift by cascade-DR, and the pseudoinverse as the second opinion.

Everything else, effective sample sizes, telling rewards, rewards that have not come, is asked of whole slates and their
joint propensities by the gate's own code. No bets are made: they would know standard IPS alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64
from croupier.models.gate.bounds.skewness import skewness
from croupier.models.gate.bounds.steadied import by_unit, steadied
from croupier.models.gate.evidence import evidence_of
from croupier.models.gate.gate import Evidence
from croupier.models.ope.estimators import Moments, unthinned
from croupier.models.slates.estimators import SlateEstimator, SlateRounds, cascade_dr, wpi


def slate_evidence(
    candidate: SlateRounds,
    champion: SlateRounds,
    *,
    divergence: F64,
    self_test: float,
    unsupported: float,
    guardrails: Mapping[str, F64] | None = None,
    unit: I64 | None = None,
    declared: tuple[float, float] | None = None,
    first: SlateEstimator = cascade_dr,
    second: SlateEstimator = wpi,
    **more: Any,
) -> Evidence:
    """Candidate and champion as they see the same n slates. divergence (n, 3) of their joint propensities
    (enumeration.foretold): no slot's weights vary more than the slate's; guardrails (n,) a slate; declared: the range
    of a slate's reward; unit (n,) the slates' units, numbered; more: further fields of Evidence, as they are."""
    whole = evidence_of(
        candidate.whole,
        champion.whole,
        divergence=divergence,
        self_test=self_test,
        unsupported=unsupported,
        guardrails=guardrails or {},
        unit=unit,
        declared=declared,
        **more,
    )
    lift, opinion = (unthinned(f(candidate) - f(champion), candidate.thinning) for f in (first, second))
    moments = steadied(lift, divergence, candidate.total, unit)
    return replace(
        whole,
        lift=moments,
        skew=skewness(lift, divergence, candidate.total, moments, unit),
        second=by_unit(Moments.of(opinion), opinion, unit),
        bets=None,
    )


def propensity_values(logged: F64, drawable: I64) -> F64:
    """Returns (n, k), each column with mean zero if the log tells the truth: 1 / (m p) − 1, p (n, k) the slots'
    conditional propensities and m (n, k) the arms that a slot could show. As of arms in models/ope/self_tests.py."""
    return np.asarray(1.0 / (drawable * logged) - 1.0)
