"""One-sided 95 % bounds, against known truth on real populations: they hold, and they say something.

Multiclass rows as bandits (scikit-learn's digits, and every .npz with X and y in the folder CROUPIER_DATA), 0/1 rewards
and click rates of 1–5 %, and the reels world; logs of uniform and of exploring policies, at ESS ≥ 200.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from croupier.models.gate.bounds.steadied import divergence, steadied
from croupier.models.ope import estimators as op
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import asymptotic_cs, clt
from croupier.models.simulation.gate_simulation import draw_log
from croupier.models.simulation.populations import from_classes, from_reels, load


def covered(runs, rows=3000):
    """Shares of bounds on the right side of the truth: (sequence, CLT), values and lifts, both sides."""
    folder = os.environ.get("CROUPIER_DATA")
    sets = [load(path) for path in (None, *(sorted(Path(folder).glob("*.npz")) if folder else ()))]
    made = [
        from_classes(x, y, name=name, lift=0.1, rewards=rewards, explored=explored)
        for x, y, name in sets
        for rewards in ((0.0, 1.0), (0.01, 0.05))
        for explored in (1.0, 0.3)
    ]
    made.append(from_reels(lift=0.1, visits=3000))
    right = {"sequence": [], "clt": []}
    for population in made:
        truth = population.value(population.candidate)
        lift = truth - population.value(population.champion)
        gap = np.where(population.log > 0, population.candidate**2 / np.maximum(population.log, 1e-12), 0)
        value_gap = np.column_stack([gap.sum(axis=1), (gap**2 / np.maximum(population.log, 1e-12)).sum(axis=1)])
        for seed in range(runs):
            log = draw_log(population, rows, np.random.default_rng(seed))
            if op.effective_sample_size(log.candidate.weight) < 200:
                continue
            value, paired = op.dr(log.candidate), op.dr(log.candidate) - op.dr(log.champion)
            for values, spread, true in (
                (value, np.tile(value_gap.mean(axis=0), (rows, 1)), truth),
                (paired, log.divergence, lift),
            ):
                for name, bounds in (
                    ("sequence", asymptotic_cs(steadied(values, spread, log.candidate.reward), alpha=0.05)),
                    ("clt", clt(Moments.of(values), alpha=0.05)),
                ):
                    right[name] += [bounds.lower <= true, bounds.upper >= true]
    return {name: (float(np.mean(hits)), len(hits)) for name, hits in right.items()}


SIZES = [
    pytest.param(20, id="100 logs", marks=pytest.mark.slow),
    pytest.param(300, id="1,500 logs", marks=[pytest.mark.full, pytest.mark.timeout(1800)]),
]


@pytest.mark.parametrize("runs", SIZES)
def test_bounds_cover(runs):
    share = covered(runs)
    assert share["sequence"][1] >= 4 * 2 * runs  # nearly all logs are at ESS ≥ 200
    assert share["sequence"][0] >= 0.94
    assert runs < 300 or share["sequence"][0] <= 0.999  # not by saying nothing
    assert share["clt"][0] < share["sequence"][0]  # what the anytime bound costs, it earns


def test_divergence_of_the_log_is_that_of_the_simulation():
    x, y, name = load(None)
    population = from_classes(x, y, name=name, lift=0.1, explored=0.3, models=1)
    from croupier.models.simulation.populations import interactions

    log = interactions(population, 500, np.random.default_rng(0))
    drawn = draw_log(population, 500, np.random.default_rng(0))
    row = np.random.default_rng(0).integers(len(x), size=500)
    assert divergence(log, population.candidate[row], population.champion[row]) == pytest.approx(drawn.divergence)
