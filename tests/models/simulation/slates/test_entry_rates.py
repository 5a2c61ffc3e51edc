"""Logs of the cascade world as rows of slots: worth what is stated, drawn as it is said, and what the command writes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.models.simulation.slates import entry_rates
from croupier.models.simulation.slates.entry_rates import LIFT, drawn, served, worth
from croupier.models.simulation.slates.slate_world import ARMS, SLOTS, CascadeWorld
from croupier.serving.cli import app


def test_candidates_are_worth_exactly_what_is_stated_and_show_other_slates():
    world = CascadeWorld.of(0)
    champion = served(np.random.default_rng(0).normal(size=world.noise.shape))
    noise = np.random.default_rng(1).normal(size=world.noise.shape)
    for times in (1.0, 1.0 + LIFT):
        found = served(worth(world, noise, times * world.value(champion)))
        assert world.value(found) == pytest.approx(times * world.value(champion), abs=1e-9)
        assert abs(found.joint - champion.joint).sum(axis=1).min() > 0.2
    with pytest.raises(ValueError, match="sign"):
        worth(world, noise, 0.99)


def test_rows_are_slots_in_order_with_their_conditional_propensities():
    world = CascadeWorld.of(1)
    table = served(np.random.default_rng(2).normal(size=world.noise.shape))
    log = drawn(world, table, 500, np.random.default_rng(3))
    assert len(log) == 500 * SLOTS
    assert log.slate[:4].tolist() == [[0, 0, 3], [0, 1, 3], [0, 2, 3], [1, 0, 3]]
    assert log.batch.mask.sum(axis=1)[:4].tolist() == [ARMS, ARMS - 1, ARMS - 2, ARMS]
    joint = log.propensity.reshape(-1, SLOTS).prod(axis=1)
    group = log.batch.context[::SLOTS].argmax(axis=1)
    number = [np.flatnonzero((table.slates == row).all(axis=1))[0] for row in log.chosen.reshape(-1, SLOTS)]
    assert joint == pytest.approx(table.joint[group, number], rel=1e-12)
    assert log.pmf.sum(axis=1) == pytest.approx(1.0)
    assert set(log.reward.reshape(-1, SLOTS).sum(axis=1)) == {0.0, 1.0}


@pytest.mark.medium
def test_the_command_writes_the_entrys_keys_and_its_table(tmp_path):
    out = tmp_path / "slates.json"
    done = CliRunner().invoke(app, ["simulate", "slates", "--entry", "--seeds", "1", "--json", str(out)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert found["false_promotion_by_entry"] == 0.0
    assert found["power_by_entry"] > 0.0
    assert {"false_promotion_by_decision", "power_by_decision"} < found.keys()
    assert "| candidate worth 6% more, logged by uniform | " in done.output


def test_rates_count_each_way_of_judging_apart():
    def row(name, by, decision):
        return {"worth": name, "by": by, "decision": decision, "logged": "uniform", "seed": 0}

    table = [
        row(name, by, "promote" if (name, by) in {("better", "slate"), ("equal", "decision")} else "reject")
        for name in ("equal", "better")
        for by in entry_rates.BY
    ]
    assert entry_rates.entry_rates(table) == {
        "false_promotion_by_entry": 0.0, "power_by_entry": 1.0, "false_promotion_by_decision": 1.0, "power_by_decision": 0.0,
    }  # fmt: skip
