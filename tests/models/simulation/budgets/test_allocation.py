"""`croupier simulate allocate`: its figures, its curve, and that it is the same again."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.features.worlds.patches import Patches
from croupier.models.simulation.budgets import allocation
from croupier.models.simulation.budgets.allocation import EQUAL, TOTALS, clairvoyant, run, tokens_for
from croupier.serving.cli import app


def test_tokens_are_read_off_the_curve_where_the_accuracy_is_first_reached():
    curve = [(0.5, 100.0), (0.7, 200.0), (0.6, 300.0)]
    assert tokens_for(0.4, curve) == 100
    assert tokens_for(0.6, curve) == pytest.approx(150)
    assert tokens_for(0.8, curve) is None


def test_the_clairvoyant_is_above_the_same_everywhere_and_within_the_total():
    world = Patches(seed=1)
    asked = world.ask(40, np.random.default_rng(1))
    right, tokens = clairvoyant(world, asked, 128)
    assert right > world.fixed(asked, 128).mean() + 0.05
    assert tokens <= 128


@pytest.fixture
def few(monkeypatch):
    """Compared on few questions: most of a short run's time goes there."""
    monkeypatch.setattr(allocation, "COMPARED", 40)


@pytest.mark.medium
def test_a_run_learns_within_its_totals_and_is_the_same_again(few):
    first = run(3, questions=1500)
    assert first["accuracy_gain_at_equal_tokens"] > 0
    assert (first["over_budget"], first["requests"]) == (0, 1500)
    assert [asked for asked, _ in first["curve"]] == [0, 200, 500, 1000, 1500]
    assert first["curve"][-1][1] > first["curve"][0][1] + 0.02
    assert first["gap_to_clairvoyant"] > 0
    for total, (right, tokens), (best, _) in zip(TOTALS, first["learnt"], first["clairvoyant"], strict=True):
        assert tokens <= total + 1e-9
        assert right <= best + 1e-9
    assert EQUAL in TOTALS
    assert json.dumps(run(3, questions=300)) == json.dumps(run(3, questions=300))


@pytest.mark.medium
def test_the_command_writes_its_figures_and_its_picture(few, tmp_path):
    picture, out = tmp_path / "a.svg", tmp_path / "a.json"
    line = ["simulate", "allocate", "--seeds", "2", "--questions", "200", "--json", str(out), "--picture", str(picture)]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    keys = {"tokens_saved_at_equal_accuracy", "accuracy_gain_at_equal_tokens", "over_budget", "gap_to_clairvoyant"}
    assert keys < set(found)
    assert found["over_budget"] == 0
    assert [one["seed"] for one in found["each_seed"]] == [0, 1]
    mean = np.mean([one["gap_to_clairvoyant"] for one in found["each_seed"]])
    assert found["gap_to_clairvoyant"] == pytest.approx(mean)
    assert "0 of 400 requests over their total" in " ".join(done.output.split())
    assert picture.read_text().startswith("<?xml")
    refused = CliRunner().invoke(app, ["simulate", "allocate", "--seeds", "0"])
    assert refused.exit_code != 0
