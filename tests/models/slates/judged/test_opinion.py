"""The pseudoinverse beside cascade-DR: of a log whose policy is the champion, against sums over every slate."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.spec import GateSpec
from croupier.models.gate import evaluation as by_decision
from croupier.models.gate.evaluation import Asked
from croupier.models.simulation.slates import entry_rates
from croupier.models.simulation.slates.entry_rates import FLOOR, SlotScores
from croupier.models.simulation.slates.slate_world import ARMS, CONTEXTS, CascadeWorld
from croupier.models.slates import pseudoinverse
from croupier.models.slates.judged.evaluation import evaluate
from croupier.models.slates.judged.opinion import SecondOpinion
from croupier.models.slates.judged.seen import JudgedSlates

WORLD = CascadeWorld.of(4)
OLD, NEW = (np.random.default_rng(i).normal(size=(CONTEXTS, ARMS)) for i in (1, 2))
POLICIES = {"old": SlotScores(OLD), "new": SlotScores(NEW)}
KNOWN = {"champion": "old", "floor": FLOOR, "gate": GateSpec(), "asked": Asked(declared=(0.0, 1.0))}


@pytest.fixture(scope="module")
def drawn():
    """Slates that the champion drew: their contexts and numbers, and the log."""
    rng = np.random.default_rng(0)
    group, number, reward = WORLD.draw(entry_rates.served(OLD), 300, rng)
    return group, number, entry_rates.rows_of(entry_rates.served(OLD), group, number, reward)


def opinion(log, policies=POLICIES):
    slates = JudgedSlates.of(log, seed=0)
    pmfs, _ = by_decision.served(policies, slates.log, FLOOR, "old", None)

    def ask(rows):
        return by_decision.served(policies, rows, FLOOR, "old", None)[0]

    return SecondOpinion.of(slates, "old", pmfs["old"], ask)


def test_joint_propensities_and_weights_are_those_of_every_slate(drawn):
    group, number, log = drawn
    found = opinion(log)
    assert (len(found), found.number.tolist()) == (300, number.tolist())
    for name, scores in (("old", OLD), ("new", NEW)):
        table = entry_rates.served(scores)
        assert found.joint[name] == pytest.approx(table.joint[group], rel=1e-9)
        assert found.marginals[name] == pytest.approx(table.marginals[group], rel=1e-9)
    weights = pseudoinverse.weights(entry_rates.served(OLD).joint, entry_rates.served(NEW).marginals)[group, number]
    assert found.weights("new") == pytest.approx(weights, rel=1e-6)
    assert found.weights("old") == pytest.approx(1.0, abs=1e-6)
    reward = log.reward.reshape(-1, 3).sum(axis=1)
    assert found.lift("new").mean == pytest.approx(weights @ reward / weights.sum() - reward.mean(), abs=1e-9)
    assert found.lift("nobody") is None


def test_the_verdict_has_it_and_says_so(drawn):
    *_, log = drawn
    (second,) = (
        c
        for c in evaluate(POLICIES, log, **KNOWN).policies["new"].verdict.conditions
        if c.name == "second_estimator_upper"
    )
    lift = opinion(log).lift("new")
    assert second.value == pytest.approx(lift.mean + 1.6449 * lift.standard_error, abs=1e-4)
    assert "pseudoinverse, on 300 slates" in second.reason


def test_a_log_that_the_champion_did_not_make_has_no_pseudoinverse(drawn):
    *_, log = drawn
    turned = {"old": SlotScores(NEW), "new": SlotScores(OLD)}
    assert opinion(log, turned) is None
    (second,) = (
        c
        for c in evaluate(turned, log, **KNOWN).policies["new"].verdict.conditions
        if c.name == "second_estimator_upper"
    )
    assert "reward-interaction IPS" in second.reason


def test_slots_whose_candidates_are_not_what_is_left_are_left_out(drawn):
    """An action that was excluded from one slot alone: what else would have been offered is not known."""
    *_, log = drawn
    mask = log.batch.mask.copy()
    row = 1  # the second slot of the first slate
    gone = next(arm for arm in range(ARMS) if mask[row, arm] and arm != log.chosen[row])
    mask[row, gone] = False
    other = replace(log, batch=replace(log.batch, mask=mask), pmf=np.where(mask, log.pmf, 0.0))
    assert len(opinion(other)) == 299
