"""A lift that hangs on a few draws, or that declared rewards which did not come could turn, is not promoted."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson
from typer.testing import CliRunner

from croupier.features.spec import GateSpec
from croupier.models.gate.gate import PROMOTE, judge
from croupier.models.gate.informative import UNASKED, Informative
from croupier.models.gate.unseen import Unseen
from croupier.models.ope.estimators import Rounds
from croupier.models.simulation import adversarial
from croupier.serving.cli import app


def rounds(reward, target, *, propensity=0.5):
    n = len(reward)
    return Rounds(
        reward=np.array(reward, float),
        propensity=np.full(n, propensity),
        target=np.array(target, float),
        predicted=np.zeros(n),
        direct=np.zeros(n),
        thinning=np.ones(n),
    )


def test_sizes_by_hand():
    """Eight rows: the candidate takes the first four, the champion the others; three clicks against one."""
    reward = [1, 1, 1, 0, 1, 0, 0, 0]
    candidate, champion = rounds(reward, [1, 1, 1, 1, 0, 0, 0, 0]), rounds(reward, [0, 0, 0, 0, 1, 1, 1, 1])
    found = Informative.of(candidate, champion)
    assert (found.champion_ess, found.difference_ess) == (4.0, 8.0)
    assert found.events == 4.0, "the median is a half: each row is half away from it"
    few = Informative.of(rounds([1, 1, 1, *[0] * 7], [1] * 5 + [0] * 5), rounds([1, 1, 1, *[0] * 7], [0] * 5 + [1] * 5))
    assert few.events == 0.0, "no click speaks against the candidate yet"


def test_what_is_unseen_by_hand():
    """Five losses of −3 came, −50 is declared: λ = 9.27 at α = .1 · .05, and all weights are 2."""
    reward = [-3.0] * 5 + [0.1] * 95
    found = Unseen.of(rounds(reward, [1] * 100), rounds(reward, [0] * 100), (-50.0, 0.1))
    assert (found.low, found.high, found.seen) == (47.0, 0.0, (-3.0, 0.1))
    rows = 12.594
    assert poisson.cdf(4, rows) == pytest.approx(0.005, rel=0.01)
    assert found.shift(0.05) == pytest.approx(47.0 * rows * 2 / 100, rel=0.001)
    assert "below -3, by as much as 47" in found.says
    clicks = [0.0] * 50 + [1.0] * 50
    both = Unseen.of(rounds(clicks, [1] * 100), rounds(clicks, [0] * 100), (0.0, 1.0))
    assert (both.shift(0.05), both.says) == (0.0, "")


@pytest.mark.parametrize("name", [trap.name for trap in adversarial.traps()])
def test_every_trap_is_a_null(name):
    (trap,) = [t for t in adversarial.traps() if t.name == name]
    assert trap.lift == pytest.approx(0.0, abs=1e-12)
    for pmf in (trap.log, trap.champion, trap.candidate):
        assert np.allclose(pmf.sum(axis=1), 1.0)


DECEIVED = (
    "log of the candidate's like, clicks 1%",
    "policies differ on 1.0% of contexts",
    "candidate: a loss of 50 at 0.05%, else a little better",
)


@pytest.mark.medium
@pytest.mark.parametrize("name", DECEIVED)
def test_traps_that_deceived_the_gate_no_longer_do(name):
    """A small size of `croupier simulate gate --adversarial`; GATE.md has 300 logs of each."""
    (trap,) = [t for t in adversarial.traps() if t.name == name]
    logs = [adversarial.draw(trap, np.random.default_rng([1, run])) for run in range(15)]
    assert sum(adversarial.promoted(trap, log, asks=True) for log in logs) == 0
    assert sum(adversarial.promoted(trap, log, asks=False) for log in logs) >= 2


def test_the_verdict_names_what_is_missing_and_how_many_rows_would_do():
    (trap,) = [t for t in adversarial.traps() if t.name == DECEIVED[0]]
    log = adversarial.draw(trap, np.random.default_rng([1, 0]))
    evidence = log.evidence(4000)
    verdict = judge(evidence, GateSpec())
    assert "ess_of_champion" in verdict.failed
    assert verdict.rows_needed >= 4000 * (200 / evidence.informative.champion_ess - 1) - 1
    assert "ess_of_champion" not in judge(replace(evidence, informative=UNASKED), GateSpec()).failed
    assert verdict.decision != PROMOTE


def test_the_command_counts_and_writes_the_page(tmp_path, monkeypatch):
    short = [replace(t, rows=2000, looks=2) for t in adversarial.traps()[:2]]
    monkeypatch.setattr(adversarial, "traps", lambda: short)
    page, out = tmp_path / "GATE.md", tmp_path / "traps.json"
    page.write_text("before\n<!-- adversarial -->\n<!-- /adversarial -->\nafter\n")
    asked = ["simulate", "gate", "--adversarial", str(out), "--runs", "3", "--page", str(page)]
    answer = CliRunner().invoke(app, asked)
    assert answer.exit_code == 0, answer.output
    shown = page.read_text()
    assert shown.startswith("before\n<!-- adversarial -->\n| lift exactly zero |")
    assert shown.count("| 3 |") == 2
    assert len(json.loads(out.read_text())) == 2
