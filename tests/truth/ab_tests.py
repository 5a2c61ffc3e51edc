"""Logs of A/B tests without any lift: `python -m tests.truth.ab_tests [LOGS]`.

Units keep the arm that they drew, have features of their own, and earn at rates of their own, whatever the arm. One line
a cell: in how many logs the gate promotes `lin_ts`, in how many its bounds alone would have where every row had been
learnt and judged as it came (before models/ope/kept_arms/), and how many true logs its self-tests refuse.
"""

import sys

import numpy as np

from croupier.features.spec import GateSpec
from croupier.models.gate.evaluation import evaluate
from croupier.models.gate.gate import PROMOTE
from croupier.models.ope.kept_arms import judging
from croupier.models.policy import make
from croupier.models.simulation.power.table import limits
from tests.models.ope.kept_arms.ab_log import ABTest

SPLIT, FLOOR, CHAMPION = 0.6, 0.02, "uniform"
SELF_TESTS = {"propensity_self_test", "features_before_decision", "estimators_agree"}
CELLS = [
    ABTest(units=units, rows=rows, share=share)
    for units, rows in ((300, 12_000), (1500, 12_000), (6000, 12_000))
    for share in ((1 / 3, 1 / 3, 1 / 3), (0.6, 0.25, 0.15))
]


def judged(learnt, log):
    """The verdict on what `learnt`, and whether its self-tests passed."""
    policies = {CHAMPION: make(CHAMPION), "lin_ts": make("lin_ts").learn([learnt], seed=1)}
    found = evaluate(policies, log, champion=CHAMPION, floor=FLOOR, gate=GateSpec()).policies["lin_ts"]
    failed = {c.name for c in found.verdict.conditions if c.passed is False}
    return found, not failed & SELF_TESTS


def one(made, seed):
    """Promoted; promoted by the bounds of every later row; self-tests passed."""
    log = made.log(seed)
    split = int(np.quantile(log.at, SPLIT))
    half = judging.learnt(log.unit)
    rows = judging.judging(log.unit, log.at, np.array([split]), held_back=True)
    new, passed = judged(log[(log.at < split) & half], log[rows])
    old, _ = judged(log[log.at < split], log[log.at >= split])
    return new.verdict.decision == PROMOTE, old.lift_bounds.lower > 0, passed


def main(logs=200):
    for number, made in enumerate(CELLS):
        found = np.array([one(made, seed=1000 * number + run) for run in range(logs)])
        promoted, before, passed = found.sum(axis=0)
        most = limits(int(promoted), logs)[1]
        shares = " ".join(f"{share:.2f}" for share in made.share)
        print(
            f"{made.units:,} units, {made.rows:,} rows, arms {shares}: promoted {promoted} of {logs} (at most {most:.1%}); "
            f"rows as they come {before}; refused by self-tests {logs - passed}",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
