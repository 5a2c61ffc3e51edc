"""A number that was measured after the decision: always filled, moved by the outcome or by the arm that was shown."""

import numpy as np
import pytest

from croupier.features.spec import GateSpec
from croupier.models.gate.evaluation import Asked, evaluate
from croupier.models.gate.gate import LEAK_LEVEL
from croupier.models.ope.leaks import tested as leaks
from croupier.models.policy import make
from tests.models.ope.test_leaks import log_of

HONEST = 6


def columns(rng, arm, reward, device):
    """Six honest numbers that go with the reward a little more than what follows them does."""
    return rng.normal(size=(len(arm), HONEST)) + 0.05 * (device == 1)[:, None]


def by_arm(rng, arm, reward, device):
    """Seconds that depend on the arm shown, and not on how much it earns: the middle one holds people longest."""
    seconds = rng.gamma(2.0, 10.0, len(arm)) + np.array([0.0, 15.0, 0.0])[arm]
    return np.column_stack([columns(rng, arm, reward, device), seconds])


def by_outcome(rng, arm, reward, device):
    return np.column_stack([columns(rng, arm, reward, device), rng.gamma(2.0, 10.0, len(arm)) + 35 * reward])


def honest_seconds(rng, arm, reward, device):
    return np.column_stack([columns(rng, arm, reward, device), rng.gamma(2.0, 10.0, len(arm)) + 20 * (device == 2)])


@pytest.mark.parametrize("whole", [True, False])
def test_seconds_that_the_shown_arm_moved_are_refused_by_name(whole):
    tested = leaks.tested(log_of(4000, seed=3, columns=by_arm, whole=whole))
    assert (tested.p < LEAK_LEVEL, tested.suspect) == (True, 3 + HONEST)


@pytest.mark.parametrize("seed", range(3))
def test_honest_seconds_are_neither_refused_nor_stated(seed):
    tested = leaks.tested(log_of(4000, seed=seed, columns=honest_seconds))
    assert (tested.p > LEAK_LEVEL, tested.outcome, tested.stated([])) == (True, (-1, 0.0), ())


def test_seconds_that_the_outcome_moved_are_refused_or_stated_in_the_verdict():
    """A log too small for the draw to show it: the verdict says which column, and how much it explains."""
    log = log_of(1500, seed=5, columns=by_outcome)
    names = [*(f"context.f{k}" for k in range(3 + HONEST)), "context.dwell_seconds"]
    policies = {"uniform": make("uniform"), "c": make("fixed_arm", arm="c")}
    found = evaluate(policies, log, champion="uniform", floor=0.02, gate=GateSpec(), asked=Asked(features=names))
    verdict = found.policies["c"].verdict
    assert verdict is not None
    (said,) = [c for c in verdict.conditions if c.name == "features_before_decision:outcome"]
    assert (said.passed, "features_before_decision:outcome" in verdict.unchecked) == (None, True)
    assert "context.dwell_seconds explains" in said.reason
    share = leaks.tested(log).outcome[1]
    assert 0.3 < share < 0.75
    assert f"{share:.0%}" in said.reason
    big = leaks.tested(log_of(20_000, seed=5, columns=by_outcome))
    assert (big.p < LEAK_LEVEL, big.suspect) == (True, 3 + HONEST)  # there the draw shows it
