"""Columns that came too late, of kinds that hide from a comparison of arms or of rewarded rows: each is refused by name or
stated in the verdict; honest ones that look like them are neither."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.spec import GateSpec
from croupier.models.gate.evaluation import Asked, evaluate
from croupier.models.gate.gate import LEAK_LEVEL
from croupier.models.ope.leaks import tested as leaks
from croupier.models.policy import make
from tests.models.ope.test_leaks import ARMS, log_of

PMF = 0.3 / ARMS + 0.7 * np.eye(ARMS)  # of log_of: row by device


def column(x):
    return np.asarray(x, np.float64)[:, None]


REFUSED = {
    "propensity": lambda rng, arm, reward, device: column(PMF[device, arm]),
    "its logarithm": lambda rng, arm, reward, device: column(-np.log(PMF[device, arm])),
    "per cent in float16": lambda rng, arm, reward, device: column(np.float16(100 * PMF[device, arm])),
    "weight of the row": lambda rng, arm, reward, device: column(np.round(1 / PMF[device, arm], 3)),
    "hash of the arm": lambda rng, arm, reward, device: column(np.array([0.31, 0.77, 0.12])[arm]),
    "category of the outcome": lambda rng, arm, reward, device: np.eye(3)[
        np.where(reward > 0, rng.integers(1, 3, len(arm)), 0)
    ],
    "other scale, rounded": lambda rng, arm, reward, device: column(
        np.round(1000 * reward + rng.normal(0, 300, len(arm)), -2)
    ),
    "orders, 3 % miscounted": lambda rng, arm, reward, device: column(
        np.where(rng.random(len(arm)) < 0.03, 1 - reward, reward)
    ),
    "shown arm, 30 % wrong": lambda rng, arm, reward, device: column(
        np.where(rng.random(len(arm)) < 0.7, arm, rng.integers(ARMS, size=len(arm))) == 1
    ),
}
HONEST = {
    "the last row's reward": lambda rng, arm, reward, device: column(np.r_[0.0, reward[:-1]]),
    "rewards so far": lambda rng, arm, reward, device: column(np.r_[0.0, np.cumsum(reward)[:-1]] / len(arm)),
    "every arm's p": lambda rng, arm, reward, device: PMF[device],
    "the likeliest arm's p, noisy": lambda rng, arm, reward, device: column(
        PMF[device].max(axis=1) + rng.normal(0, 0.01, len(arm))
    ),
    "row number": lambda rng, arm, reward, device: column(np.arange(len(arm)) / len(arm)),
    "rare flag": lambda rng, arm, reward, device: column(rng.random(len(arm)) < 0.004),
}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_names_the_draw_or_the_outcome_is_refused(kind, whole):
    tested = leaks.tested(log_of(3000, seed=31, columns=REFUSED[kind], whole=whole))
    assert tested.p < LEAK_LEVEL
    assert tested.suspect >= 3, "none of the device's columns"


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", HONEST)
def test_what_was_known_is_neither_refused_nor_stated(kind, whole):
    tested = leaks.tested(log_of(3000, seed=32, columns=HONEST[kind], whole=whole))
    assert (tested.p > LEAK_LEVEL, tested.stated([])) == (True, ())


def even(n, *, seed):
    """Uniform over 2 to 3 candidates, whose number is a feature: it orders rows as p does, and is known before."""
    log = log_of(n, seed=seed, columns=lambda rng, arm, reward, device: column(2 + (device > 0)), whole=True, floor=1.0)
    offered = np.ones_like(log.batch.mask)
    offered[np.arange(n), (log.chosen + 1) % ARMS] = log.batch.context[:, 3] > 2.5
    pmf = offered / offered.sum(axis=1, keepdims=True)
    return replace(log, batch=replace(log.batch, mask=offered), pmf=pmf, propensity=pmf[np.arange(n), log.chosen])


def test_the_number_of_candidates_is_no_copy_of_an_even_draws_probability():
    assert leaks.tested(even(3000, seed=33)).p > LEAK_LEVEL


def why_not(rng, arm, reward, device):
    """Asked of those who did not buy; half answered."""
    return column((reward == 0) & (rng.random(len(arm)) < 0.5))


def test_a_value_that_no_reward_came_with_is_stated_by_name():
    log = log_of(1500, seed=34, columns=why_not)
    names = ["context.phone", "context.pc", "context.tablet", "context.why_not"]
    policies = {"uniform": make("uniform"), "c": make("fixed_arm", arm="c")}
    found = evaluate(policies, log, champion="uniform", floor=0.02, gate=GateSpec(), asked=Asked(features=names))
    verdict = found.policies["c"].verdict
    assert verdict is not None
    (said,) = [c for c in verdict.conditions if c.name == "features_before_decision:never"]
    rows = int(log.batch.context[:, 3].sum())
    assert said.passed is None
    assert said.reason.startswith(
        f"context.why_not has a value with which no reward but the usual one came in {rows:,} rows"
    )
