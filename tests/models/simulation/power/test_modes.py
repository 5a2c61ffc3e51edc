"""The fast count decides as the gate's own code does, look by look; the tables draw what they say."""

import numpy as np
import pytest

from croupier.features.spec import GateSpec
from croupier.models.exploration import with_floor_toward
from croupier.models.gate.gate import PROMOTE, judge
from croupier.models.gate.spending import schedule
from croupier.models.simulation.adversarial import traps
from croupier.models.simulation.populations import from_classes, load
from croupier.models.simulation.power import cells
from croupier.models.simulation.power.modes import LOOKS, PLANNED_LOOKS, Log, Looked
from croupier.models.simulation.power.tables import Tables

ROWS = 6000


@pytest.fixture(scope="module")
def digits():
    x, y, name = load(None)
    return from_classes(x, y, name=name, lift=0.08, rewards=(0.02, 0.2), explored=0.5, models=2, model_rows=2000)


@pytest.fixture(scope="module")
def tables(digits):
    return Tables.of_population(digits)


def test_cells_are_drawn_with_their_probabilities(tables):
    cell = tables.cells(400_000, np.random.default_rng(0))
    arms = tables.log.shape[1]
    found = np.bincount(cell % arms, minlength=arms) / 400_000
    assert found == pytest.approx(tables.log.mean(axis=0), abs=4e-3)
    rows = np.bincount(cell // arms, minlength=len(tables.log))
    assert rows.std() == pytest.approx(np.sqrt(400_000 / len(tables.log)), rel=0.1)


def test_sums_of_looks_are_the_evidence_of_looks(tables):
    log = Log(drawn=tables.draw(ROWS, np.random.default_rng(3)), rows=ROWS)
    found = Looked.of(log.drawn.whole(), log.at)
    for j in (0, 7, LOOKS - 1):
        e = log.drawn.whole().evidence(log.at[j])
        assert found.mean[j] == pytest.approx(e.lift.mean, rel=1e-9)
        assert found.error[j] == pytest.approx(e.lift.standard_error, rel=1e-9)
        assert found.skew[j] == pytest.approx(e.skew, rel=1e-6)
        assert found.size[j] == pytest.approx(
            min(e.ess, e.informative.champion_ess, e.informative.difference_ess), rel=1e-9
        )


@pytest.mark.medium
def test_each_mode_decides_as_the_gate_does(tables):
    """Ten logs, some promoted and some not, by `judge` itself at every look."""
    decided = {"one look": [], "planned": [], "bets or sequence": []}
    for seed in range(10):
        log = Log(drawn=tables.draw(ROWS, np.random.default_rng([5, seed])), rows=ROWS)
        whole = log.drawn.whole()
        last = judge(whole.evidence(ROWS), GateSpec()).decision == PROMOTE
        assert log.one_look() == last
        plan = GateSpec(looks=PLANNED_LOOKS, horizon=ROWS)
        at = [ROWS * k // PLANNED_LOOKS for k in range(1, PLANNED_LOOKS + 1)]
        seen = [judge(whole.evidence(n, schedule(plan, at, n)), plan).decision == PROMOTE for n in at]
        assert log.planned() == any(seen)
        often = any(judge(whole.evidence(n), GateSpec()).decision == PROMOTE for n in log.at[2:])
        assert log.every_row() >= often
        for name, value in (("one look", last), ("planned", any(seen)), ("bets or sequence", often)):
            decided[name].append(value)
    assert all(0 < sum(found) < 10 for found in decided.values())


def test_exploring_toward_the_candidate_keeps_epsilon_and_the_least_share(digits):
    log = cells.toward(digits, 0.5).log
    assert log.sum(axis=1) == pytest.approx(np.ones(len(log)))
    arms = log.shape[1]
    assert (log >= 0.5 * digits.champion + 0.25 / arms - 1e-12).all()
    mask = np.ones_like(log, bool)
    assert with_floor_toward(digits.champion, digits.candidate, mask, 0.5, 0.0) == pytest.approx(digits.log)


@pytest.mark.medium
def test_traps_are_drawn_as_the_adversarial_table_draws_them():
    trap = next(t for t in traps() if "a loss of 50 at 0.20%, uniform" in t.name)
    drawn = Tables.of_trap(trap, np.random.default_rng(0)).draw(200_000, np.random.default_rng(1))
    assert drawn.reward.mean() == pytest.approx(1.0 - 50 * 0.002, abs=0.02)
    assert drawn.whole().declared == trap.declared
