"""The gate's entry on a log of slates: every slate of a small log once, so that estimates are expectations, exactly."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import concatenate
from croupier.features.spec import GateSpec
from croupier.models.gate import evaluation as by_decision
from croupier.models.gate.bounds.steadied import powers
from croupier.models.gate.evaluation import Asked
from croupier.models.simulation.slates import entry_rates
from croupier.models.simulation.slates.entry_rates import FLOOR, SlotScores
from croupier.models.simulation.slates.slate_world import ARMS, CONTEXTS, SLOTS, CascadeWorld
from croupier.models.slates.enumerated import Enumerated
from croupier.models.slates.judged.evaluation import any_better, evaluate, rounds_in
from croupier.models.slates.judged.seen import JudgedSlates
from croupier.models.slates.judged.self_tests import goes_down, propensity, slot_values

WORLD = CascadeWorld.of(4)
GROUP, NUMBER = np.divmod(np.arange(CONTEXTS * 336), 336)
OLD, NEW = (np.random.default_rng(i).normal(size=(CONTEXTS, ARMS)) for i in (1, 2))
POLICIES = {"old": SlotScores(OLD), "new": SlotScores(NEW)}


def table(scores):
    return entry_rates.served(scores)


def every_slate(reward):
    """A uniform log in which each slate came once, each slot with this reward (C, N, k)."""
    even = table(np.zeros((CONTEXTS, ARMS)))
    slates = entry_rates.rows_of(even, GROUP, NUMBER, reward[GROUP, NUMBER])
    assert np.allclose(slates.propensity, np.repeat(1.0 / np.array([[8, 7, 6]]), len(GROUP), axis=0).ravel())
    return slates


@pytest.fixture(scope="module")
def log():
    return every_slate(WORLD.clicks)


def asked(log, **more):
    return evaluate(POLICIES, log, champion="old", floor=FLOOR, gate=GateSpec(), **more)


def value(scores, reward):
    """Σ over contexts and slates of π(slate) reward, per context."""
    return float((table(scores).joint * reward.sum(axis=2)).sum(axis=1).mean())


def test_values_are_those_of_whole_slates_exactly(log):
    found = asked(log)
    assert (found.rows, found.slates) == (CONTEXTS * 336, {"slots": 3, "decisions": CONTEXTS * 336 * 3, "left_out": 0})
    for name, scores in (("old", OLD), ("new", NEW)):
        report = found.policies[name].estimates
        for estimator in ("rips", "sips"):
            assert report[estimator] == pytest.approx(value(scores, WORLD.clicks), abs=1e-12), (name, estimator)
        assert report["dr"] == pytest.approx(value(scores, WORLD.clicks), abs=2e-3)  # Q̂ of folds that are not alike
    assert found.policies["logging"].estimates["dr"] == pytest.approx(WORLD.clicks.sum(axis=2).mean(), abs=1e-12)
    lift = found.policies["new"].lift
    paired = found.policies["new"].estimates["dr"] - found.policies["old"].estimates["dr"]
    assert lift == pytest.approx(paired, abs=1e-12)
    alone = by_decision.evaluate(POLICIES, log, champion="old", floor=FLOOR, gate=GateSpec()).policies
    assert abs(SLOTS * alone["new"].lift - lift) > 0.005, "slots as decisions say something else"


def test_without_a_reward_model_cascade_dr_is_exact_too(log, monkeypatch):
    monkeypatch.setattr("croupier.models.slates.judged.seen.LEAST", 10**9)
    assert asked(log).policies["new"].estimates["dr"] == pytest.approx(value(NEW, WORLD.clicks), abs=1e-12)


def test_rewards_that_depend_on_slots_below_are_found_and_standard_ips_alone_is_right():
    """The first slot earns only where the last one shows the context's best arm."""
    best = WORLD.attraction.argmax(axis=1)
    reward = np.zeros(WORLD.clicks.shape)
    reward[:, :, 0] = table(OLD).slates[None, :, 2] == best[:, None]
    found = asked(every_slate(reward)).policies["new"].estimates
    assert found["sips"] == pytest.approx(value(NEW, reward), abs=1e-12)
    assert abs(found["rips"] - value(NEW, reward)) > 0.01
    last = np.roll(reward, 2, axis=2)  # the same reward, given to the last slot
    assert asked(every_slate(last)).policies["new"].estimates["rips"] == pytest.approx(value(NEW, last), abs=1e-12)
    twenty = np.tile(np.arange(len(GROUP)), 20)
    for given, least, most in ((reward, 0.0, 1e-6), (last, 0.9, 1.0), (WORLD.clicks, 0.5, 1.0)):
        slates = JudgedSlates.of(every_slate(given), seed=0)
        pmfs, _ = by_decision.served(POLICIES, slates.log, FLOOR, "old", None)
        seen = [slates.seen(pmfs[name])[twenty] for name in ("new", "old")]
        assert least <= goes_down(*seen, often=False) <= most


def test_what_the_pmfs_foretell_of_the_last_slot_is_that_of_whole_slates_on_average(log):
    slates, even = JudgedSlates.of(log, seed=0), table(np.zeros((CONTEXTS, ARMS)))
    pmfs, _ = by_decision.served(POLICIES, log, FLOOR, "old", None)
    found = slates.foretold(pmfs["new"], pmfs["old"])
    whole = powers(even.joint, table(NEW).joint, table(OLD).joint)
    assert found.mean(axis=0) == pytest.approx(whole.mean(axis=0), rel=1e-9)
    assert not slates.foretold(pmfs["old"], pmfs["old"]).any()
    assert slates.heaviest(pmfs["new"]) >= (table(NEW).joint / even.joint).max()


def test_slates_that_the_log_could_not_draw_are_no_support(log):
    never = log.batch.arm == 3
    pmf = np.where(never, 0.0, log.pmf)
    kept = log.chosen != 3
    kept = np.repeat(kept.reshape(-1, SLOTS).all(axis=1), SLOTS)
    thin = replace(log, pmf=pmf / pmf.sum(axis=1, keepdims=True))[kept]
    thin = replace(thin, propensity=thin.pmf[np.arange(len(thin)), thin.chosen])
    found = asked(thin).policies["new"]
    first = table(NEW).marginals[:, 0, 3].mean()
    assert found.unsupported > first, "the first slot's mass alone is that much"
    assert "support" in found.verdict.failed


def test_each_column_of_the_self_test_has_mean_zero_over_all_slates():
    known = table(OLD)
    every = entry_rates.rows_of(known, GROUP, NUMBER, WORLD.clicks[GROUP, NUMBER])
    p = known.joint[GROUP, NUMBER] / CONTEXTS
    values, spread = slot_values(every, JudgedSlates.of(every, seed=0).slates)
    assert values.shape == (len(GROUP), 2 * SLOTS + 1)
    assert p @ values == pytest.approx(0.0, abs=1e-12)
    assert values[:, -1] == pytest.approx(1.0 / (336 * known.joint[GROUP, NUMBER]) - 1.0, rel=1e-9)
    assert np.sqrt(p @ values[:, :2] ** 2) == pytest.approx(spread[:2], rel=1e-9)


def test_a_log_that_drew_otherwise_than_it_says_is_found():
    """Half as much floor as its propensities have."""
    rng, says = np.random.default_rng(0), table(OLD)
    liar = Enumerated(policy=replace(says.policy, floor=FLOOR / 2), k=SLOTS)
    p = {}
    for name, drawn in (("sound", says), ("lying", liar)):
        log = entry_rates.rows_of(says, *WORLD.draw(drawn, 4000, rng))
        p[name] = propensity(log, JudgedSlates.of(log, seed=0).slates, often=True)
    assert p["sound"] > 0.05
    assert p["lying"] < 1e-6


def test_margins_are_of_a_decision_and_guardrails_of_a_slate(log):
    harm = {"harm": -(log.chosen == 5).astype(float)}
    told = Asked(margins={"harm": 0.1}, widths={"harm": 1.0})
    gate = GateSpec(margin=0.01)
    found = evaluate(POLICIES, log, champion="old", floor=FLOOR, gate=gate, guardrails=harm, asked=told)
    conditions = {c.name: c for c in found.policies["new"].verdict.conditions}
    assert conditions["lift_lower"].threshold == pytest.approx(0.03)
    assert conditions["guardrail:harm"].threshold == pytest.approx(-0.3)
    shown = (table(NEW).marginals - table(OLD).marginals)[:, :, 5].sum(axis=1).mean()
    assert conditions["guardrail:harm"].value < -shown < conditions["guardrail:harm"].value + 0.3


def test_decisions_by_themselves_are_slates_of_one_and_half_slates_are_counted(log):
    half, alone = log[:SLOTS][1:], log[SLOTS : 2 * SLOTS][:1]
    alone = replace(alone, slate=np.zeros((1, 3), np.int64))
    whole = concatenate([half, alone, log[2 * SLOTS :]])
    found = asked(whole)
    assert found.slates == {"slots": 3, "decisions": len(log) - 5, "left_out": 2}
    assert found.rows == rounds_in(whole) == CONTEXTS * 336 - 1


def test_slates_of_one_unit_are_no_independent_evidence(log):
    """Six units, each with a taste of its own: what they say of the lift is what six slates would."""
    found = asked(replace(log, unit=log.batch.context.argmax(axis=1).astype(np.uint64))).policies["new"]
    (units,) = (c for c in found.verdict.conditions if c.name == "effective_units")
    assert (units.value, units.passed) == (pytest.approx(6.0), False)
    assert found.details["design_effect"] > 3.0
    assert asked(log).policies["new"].details["design_effect"] == pytest.approx(1.0, abs=0.01)


def test_rows_without_two_whole_slates_are_judged_as_decisions(log):
    torn = log[log.slate[:, 1] > 0][: 2 * 336]  # no slate has its first slot
    assert rounds_in(torn) == len(torn)
    assert (asked(torn).slates, asked(torn).rows) == ({}, len(torn))
    assert not any_better(POLICIES, torn, champion="old", floor=FLOOR, gate=GateSpec(), alpha=0.05)


def test_any_better_says_what_the_verdict_does(log):
    best = {"old": SlotScores(OLD), "best": SlotScores(3.0 * np.log(WORLD.attraction))}
    for champion, other, better in (("old", "best", True), ("best", "old", False)):
        known = {"champion": champion, "floor": FLOOR, "gate": GateSpec()}
        verdict = evaluate(best, log, **known).policies[other]
        assert (verdict.lift_bounds.lower > 0) == better
        assert any_better(best, log, alpha=0.05, **known) == better
