"""What the gate judges: paired lifts on the same rows, with steadied variances (gate/bounds/steadied.py)."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64, Interactions
from croupier.features.encoded.columns import rising
from croupier.features.encoded.on_disk import blocks
from croupier.models.gate.bounds.betting import LiftBets
from croupier.models.gate.bounds.skewness import skewness
from croupier.models.gate.bounds.steadied import by_unit, steadied
from croupier.models.gate.gate import Evidence
from croupier.models.gate.informative import Informative
from croupier.models.gate.unseen import Unseen
from croupier.models.ope import estimators
from croupier.models.ope.estimators import Moments, Rounds, effective_sample_size, effective_units
from croupier.models.ope.intervals import asymptotic_cs
from croupier.models.ope.mean_zero import inverse

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
    reach: F64 | None = None,
    at: I64 | None = None,
    **more: Any,
) -> Evidence:
    """Candidate and champion as they see the same rows; `divergence` (n, 3) of the two; `unit` (n,) the rows' units,
    numbered (None: each row has its own); `declared` the range of a reward, where it is known; `reach` (n, 2), where
    the log's whole pmf is known: bets need both; `at` (n,) their times, if they are in no order of time; `more`:
    further fields of Evidence, as they are."""
    weight, lift = candidate.kept_weight, estimators.lift(estimators.dr, candidate, champion)
    moments = steadied(lift, divergence, candidate.reward, unit)
    bets = None
    if declared is not None and reach is not None:
        bets = _bets(candidate, champion, divergence, reach=reach, declared=declared, unit=unit, at=at)
    return Evidence(
        lift=moments,
        skew=skewness(lift, divergence, candidate.reward, moments, unit),
        bets=bets,
        identical=unsupported == 0.0 and not any(divergence[rows, 0].any() for rows in blocks(len(candidate))),
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


def _bets(
    candidate: Rounds,
    champion: Rounds,
    spread: F64,
    *,
    reach: F64,
    declared: tuple[float, float],
    unit: I64 | None,
    at: I64 | None,
) -> LiftBets | None:
    """The bets on the lift, row by row in order of time."""
    order = slice(None) if at is None or rising(at) else np.argsort(at, kind="stable")
    whose = None if unit is None else unit[order]
    shape = {"reach": reach[order], "spread": spread[order]}
    return LiftBets.of(candidate[order], champion[order], **shape, declared=declared, unit=whose)


def as_it_grew(values: F64, divergence: F64, log: Interactions, unit: I64, *, alpha: float) -> list[dict[str, float]]:
    """What the gate would have seen after each part of the log, in order of time: rows, value, and bounds that hold at
    all of them at once. `unit` (n,) numbers the rows' units."""
    found = list[dict[str, float]]()
    order = None if rising(log.at) else np.argsort(log.at, kind="stable")
    for n in np.unique(np.linspace(max(2, len(log) / CURVE_POINTS), len(log), CURVE_POINTS).astype(int)):
        rows = slice(0, n) if order is None else order[:n]
        moments = steadied(values[rows], divergence[rows], log.reward[rows], unit[rows])
        bounds = asymptotic_cs(moments, alpha=alpha)
        found.append({"rows": float(n), "value": moments.mean, "lower": bounds.lower, "upper": bounds.upper})
    return found


def heaviest(log: Interactions, *pmfs: F64) -> float:
    """The largest weight π / p that a round could have had, for any of these policies."""
    return max(float((pmf[rows] * inverse(log, rows)).max()) for rows in blocks(len(log)) for pmf in pmfs)


def unsupported(log: Interactions, pmf: F64) -> float:
    """Mean mass on arms the log could not have drawn: there, no weight can correct for what was never seen."""
    lost = (np.where(log.batch.mask[rows] & (log.pmf[rows] <= 0.0), pmf[rows], 0.0) for rows in blocks(len(log)))
    return sum(float(part.sum(axis=1).sum()) for part in lost) / len(log)


def _paired(candidate: Rounds, champion: Rounds, unit: I64 | None) -> Moments:
    """Moments of the SNIPS lift, row by row on the same rows: what both policies share cancels."""
    lift = estimators.lift(estimators.snips, candidate, champion)
    return by_unit(Moments.of(lift), lift, unit)


def _guarded(candidate: Rounds, champion: Rounds, divergence: F64, unit: I64 | None) -> Moments:
    """Returns the moments of a guardrail's lift, with a variance that rare draws which did not come up cannot
    flatter."""
    lift = estimators.lift(estimators.snips, candidate, champion)
    return steadied(lift, divergence, candidate.reward, unit)
