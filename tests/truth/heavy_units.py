"""Logs in which a few units come most often, each with a taste of its own: `python -m tests.truth.heavy_units`.

Activity falls by Zipf's law. The candidate's arm is worth .15 more or less than the champion's to a unit, by a fair coin: over
units to come the lift is zero, and a gate that takes rows for units promotes it.
"""

import numpy as np

from croupier.features.spec import GateSpec
from croupier.models.gate.evidence import evidence_of
from croupier.models.gate.gate import PROMOTE, judge
from croupier.models.ope.estimators import Rounds, effective_units

ARMS, FLOOR, TASTE, BASE = 5, 0.02, 0.15, 0.3


def log(exponent, seed, *, rows=20_000, units=5000):
    """Candidate and champion as they see one uniform log, the spread of their weights, and the rows' units."""
    rng = np.random.default_rng([seed, int(10 * exponent)])
    often = np.arange(1, units + 1) ** -float(exponent)
    unit = rng.choice(units, size=rows, p=often / often.sum())
    taste, arm = rng.choice([-TASTE, TASTE], size=units), rng.integers(ARMS, size=rows)
    reward = (rng.random(rows) < BASE + np.where(arm == 1, taste[unit], 0.0)).astype(float)
    fixed = {"propensity": np.full(rows, 1 / ARMS), "thinning": np.ones(rows), "reward": reward}
    fixed |= {"predicted": np.full(rows, BASE), "direct": np.full(rows, BASE)}
    greedy = (FLOOR / ARMS, 1 - FLOOR + FLOOR / ARMS)
    sides = [Rounds(target=np.where(arm == own, greedy[1], greedy[0]), **fixed) for own in (1, 0)]
    gap = 1 - FLOOR
    spread = np.tile([2 * gap**2 * ARMS, 2 * gap**4 * ARMS**3, 0.0], (rows, 1))
    return *sides, spread, np.unique(unit, return_inverse=True)[1]


def promoted(exponent, seed, **spec):
    candidate, champion, spread, unit = log(exponent, seed)
    found = evidence_of(
        candidate, champion, divergence=spread, self_test=1.0, unsupported=0.0, guardrails={}, unit=unit
    )
    return judge(found, GateSpec(**spec)).decision == PROMOTE


def main(runs=200):
    for exponent in (0.0, 1.0, 1.2, 1.5, 1.8, 2.0):
        unit = log(exponent, 0)[3]
        rates = [
            np.mean([promoted(exponent, seed, **spec) for seed in range(runs)]) for spec in ({"min_units": 1.0}, {})
        ]
        print(f"{exponent} seen {unit.max() + 1:,} worth {effective_units(unit):.1f}", *(f"{r:.1%}" for r in rates))


if __name__ == "__main__":
    main()
