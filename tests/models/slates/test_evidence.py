"""The gate on slates: what it is told is what the estimators say, and its own conditions refuse what they should."""

from types import SimpleNamespace

import numpy as np
import pytest

from croupier.features.spec import GateSpec
from croupier.models.gate.gate import PROMOTE, REJECT, UNDECIDED, judge
from croupier.models.ope.self_tests import p_value
from croupier.models.simulation.slates.slate_rates import FLOOR, KNOWN, drawn_log
from croupier.models.simulation.slates.slate_world import ARMS, SLOTS, CascadeWorld
from croupier.models.slates.enumerated import Enumerated
from croupier.models.slates.estimators import cascade_dr, wpi
from croupier.models.slates.evidence import propensity_values, slate_evidence
from croupier.models.slates.policies import Mixed

DRAWABLE = np.broadcast_to(ARMS - np.arange(SLOTS), (1, SLOTS))


@pytest.fixture(scope="module")
def made():
    """A world, its champion, a candidate worth 12 % more, the champion's log, and slates drawn from it."""
    world = CascadeWorld.of(2)
    champion = Enumerated(policy=world.policy(KNOWN), k=SLOTS)
    better = world.worth(1.12 * world.value(champion))
    log = Enumerated(policy=Mixed.floor(champion.policy, FLOOR), k=SLOTS)
    drawn = drawn_log(world, log, better, champion, np.random.default_rng(0))
    return SimpleNamespace(world=world, champion=champion, better=better, log=log, drawn=drawn)


def told(drawn, **changed):
    known = {"divergence": drawn.divergence, "self_test": p_value(drawn.tests), "unsupported": drawn.unsupported}
    return slate_evidence(drawn.candidate, drawn.champion, declared=(0.0, 1.0), **(known | changed))


def test_the_gate_is_told_the_lift_by_cascade_dr_and_the_pseudoinverse_second(made):
    found, new, old = told(made.drawn), made.drawn.candidate, made.drawn.champion
    assert found.lift.mean == pytest.approx((cascade_dr(new) - cascade_dr(old)).mean(), abs=1e-15)
    assert found.second.mean == pytest.approx((wpi(new) - wpi(old)).mean(), abs=1e-15)
    assert found.bets is None
    assert found.rows == len(new)
    weight = new.target.prod(axis=1) / new.logged.prod(axis=1)
    assert found.ess == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    truth = made.world.value(made.better) - made.world.value(made.champion)
    assert abs(found.lift.mean - truth) < 4 * found.lift.standard_error


def test_better_is_promoted_and_worse_is_rejected(made):
    assert judge(told(made.drawn), GateSpec()).decision == PROMOTE
    turned = SimpleNamespace(**vars(made.drawn) | {"candidate": made.drawn.champion, "champion": made.drawn.candidate})
    turned.divergence = made.drawn.divergence * [1.0, 1.0, -1.0]
    assert judge(told(turned), GateSpec()).decision == REJECT


def test_alike_is_never_promoted(made):
    same = SimpleNamespace(**vars(made.drawn) | {"candidate": made.drawn.champion})
    same.divergence = np.zeros_like(made.drawn.divergence)
    found = told(same)
    assert found.identical
    assert judge(found, GateSpec()).decision == UNDECIDED


def test_propensities_that_lie_are_found(made):
    """The log draws half as much floor as it says."""
    liar = Enumerated(policy=Mixed.floor(made.champion.policy, FLOOR / 2), k=SLOTS)
    rng = np.random.default_rng(1)
    group = rng.integers(0, len(made.world.attraction), 5000)
    slate = liar.draw(group, rng)
    said, true = (propensity_values(x.conditional[group, slate], DRAWABLE) for x in (made.log, liar))
    assert p_value(true) > 0.01
    assert p_value(said) < 1e-6
    assert "propensity_self_test" in judge(told(made.drawn, self_test=p_value(said)), GateSpec()).failed


def test_slates_that_the_log_could_not_draw_stand_in_the_way(made):
    verdict = judge(told(made.drawn, unsupported=0.01), GateSpec())
    assert (verdict.decision, verdict.failed) == (UNDECIDED, ("support",))


def test_rows_of_one_unit_are_no_independent_evidence(made):
    alone, shared = told(made.drawn), told(made.drawn, unit=np.arange(5000) // 5000)
    assert shared.lift.m2 > alone.lift.m2 * 100
    assert "effective_units" in judge(shared, GateSpec()).failed
