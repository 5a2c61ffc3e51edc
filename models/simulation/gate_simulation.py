"""How often is the gate wrong? Thousands of logs drawn from a population of known truth, each judged by the gate's own
code, once or at many looks; beside it the rules of others, on the same logs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.spec import GateSpec
from croupier.models.gate.bounds.planned import LookSchedule
from croupier.models.gate.bounds.steadied import extremes, powers
from croupier.models.gate.evidence import evidence_of
from croupier.models.gate.gate import PROMOTE, REJECT, UNDECIDED, Evidence, judge
from croupier.models.gate.spending import schedule
from croupier.models.ope import estimators
from croupier.models.ope.estimators import Moments, Rounds
from croupier.models.ope.intervals import clt
from croupier.models.ope.self_tests import p_value
from croupier.models.simulation.populations import Population, draw

SAGEMAKER_EVENTS = 75
BANDITDB_GAIN, BANDITDB_WINS = 1.10, 3


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnLog:
    """One drawn log as both policies see it, with what the gate needs at each look."""

    candidate: Rounds
    champion: Rounds
    tests: F64  # (n, m), see models/ope/self_tests.py
    divergence: F64  # (n, 3), see models/gate/bounds/steadied.py
    reach: F64 | None  # (n, 2), likewise; None: no bets are made
    unsupported: float
    declared: tuple[float, float] | None = None

    def evidence(self, n: int, schedule: LookSchedule | None = None) -> Evidence:
        """Returns what the gate is told after the first n rows; schedule: of planned looks."""
        c = self.candidate[:n]
        test = p_value(self.tests[:n])
        return evidence_of(
            c,
            self.champion[:n],
            divergence=self.divergence[:n],
            self_test=test,
            unsupported=self.unsupported,
            guardrails={},
            declared=self.declared,
            reach=None if self.reach is None else self.reach[:n],
            schedule=schedule,
        )


Rule = Callable[[DrawnLog, Sequence[int]], tuple[str, int]]  # → (decision, rows at which it was taken)


def ours(log: DrawnLog, looks: Sequence[int], spec: GateSpec | None = None) -> tuple[str, int]:
    """The first look with an answer; the error holds over all of them."""
    spec = spec or GateSpec()
    for n in looks:
        decision = judge(log.evidence(n, schedule(spec, looks, n)), spec).decision
        if decision != UNDECIDED:
            return decision, n
    return UNDECIDED, looks[-1]


def plain_clt(log: DrawnLog, looks: Sequence[int]) -> tuple[str, int]:
    """A DR lift and its 95 % normal bound at every look, nothing else: what a notebook does."""
    lift = estimators.dr(log.candidate) - estimators.dr(log.champion)
    for n in looks:
        bounds = clt(Moments.of(lift[:n]), alpha=0.05)
        if bounds.lower > 0 or bounds.upper < 0:
            return (PROMOTE if bounds.lower > 0 else REJECT), n
    return UNDECIDED, looks[-1]


def sagemaker(log: DrawnLog, looks: Sequence[int]) -> tuple[str, int]:
    """SageMaker's bandit container: promote iff the DR point estimate on 75 events is higher."""
    n = min(SAGEMAKER_EVENTS, looks[-1])
    gain = (estimators.dr(log.candidate[:n]) - estimators.dr(log.champion[:n])).mean()
    return (PROMOTE if gain > 0 else REJECT), n


def banditdb(log: DrawnLog, looks: Sequence[int]) -> tuple[str, int]:
    """BanditDB: promote after three evaluations in a row with SNIPS at least 10 % higher; looked at once, the log is
    evaluated in thirds."""
    wins = 0
    for n in looks if len(looks) >= BANDITDB_WINS else [looks[-1] * k // 3 for k in (1, 2, 3)]:
        new, old = (float(estimators.snips(r[:n]).mean()) for r in (log.candidate, log.champion))
        wins = wins + 1 if new >= BANDITDB_GAIN * old else 0
        if wins == BANDITDB_WINS:
            return PROMOTE, n
    return UNDECIDED, looks[-1]


RULES: dict[str, Rule] = {"ours": ours, "clt": plain_clt, "sagemaker": sagemaker, "banditdb": banditdb}


def draw_log(population: Population, n: int, rng: np.random.Generator) -> DrawnLog:
    """A log with a reward model drawn among the population's, so that its error is part of the rates."""
    row, chosen, reward = draw(population, n, rng)
    q = population.predicted[rng.integers(len(population.predicted))]
    sides = [
        Rounds(
            reward=reward,
            propensity=population.log[row, chosen],
            target=pmf[row, chosen],
            predicted=q[row, chosen],
            direct=(pmf * q).sum(axis=1)[row],
            thinning=np.ones(n),
        )
        for pmf in (population.candidate, population.champion)
    ]
    pmfs = population.log, population.candidate, population.champion
    outside = np.where(population.log <= 0, population.candidate, 0.0).sum(axis=1).mean()
    top = population.log.argmax(axis=1)[row]
    count = population.batch.mask.sum(axis=1)[row]
    likely = (chosen == top) - population.log[row, top]
    tests = np.column_stack([1.0 / (count * population.log[row, chosen]) - 1.0, likely])
    return DrawnLog(
        candidate=sides[0],
        champion=sides[1],
        tests=tests,
        divergence=powers(*pmfs)[row],
        reach=extremes(*pmfs)[row],
        unsupported=float(outside),
        declared=(0.0, 1.0),
    )


def simulate(
    population: Population,
    *,
    runs: int,
    rows: int,
    looks: int,
    seed: int = 0,
    progress: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Rates of each rule over `runs` logs of `rows` rows, looked at `looks` times, evenly spaced. JSON-able."""
    if runs < 1 or rows < 100 or not 1 <= looks <= rows:
        raise ValueError(f"found runs {runs}, rows {rows}, looks {looks}; expected runs ≥ 1, rows ≥ 100, looks ≤ rows")
    at = [rows * k // looks for k in range(1, looks + 1)]
    decided: dict[str, list[tuple[str, int]]] = {name: [] for name in RULES}
    ess = []
    for run in range(runs):
        log = draw_log(population, rows, np.random.default_rng([seed, run]))
        ess.append(estimators.effective_sample_size(log.candidate.weight))
        for name, rule in RULES.items():
            decided[name].append(rule(log, at))
        progress(1)
    head = {"population": population.name, "lift": round(population.lift, 12) + 0.0, "rows": rows, "looks": looks,
            "runs": runs, "ess": float(np.mean(ess))}  # fmt: skip
    rules = {name: rates(outcomes) for name, outcomes in decided.items()}
    return head | rules["ours"] | {"rules": {k: v for k, v in rules.items() if k != "ours"}}


def rates(outcomes: Sequence[tuple[str, int]]) -> dict[str, float | None]:
    """Shares of the three verdicts, and the median rows at which an answer was given (None when none was)."""
    share = {kind: float(np.mean([o[0] == kind for o in outcomes])) for kind in (PROMOTE, REJECT, UNDECIDED)}
    stop = float(np.median([float(n) for kind, n in outcomes if kind != UNDECIDED] or np.inf))
    return {
        "promoted_rate": share[PROMOTE],
        "rejected_rate": share[REJECT],
        "not_enough_rate": share[UNDECIDED],
        "median_rows": stop if isfinite(stop) else None,
    }
