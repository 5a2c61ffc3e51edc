"""The cascade world's truth against its own users, and the keys that `croupier simulate slates` writes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.models.simulation.slates import slate_rates
from croupier.models.simulation.slates.slate_world import ARMS, PATIENCE, SLOTS, CascadeWorld
from croupier.models.slates.enumerated import Enumerated
from croupier.models.slates.enumeration import every_slate
from croupier.models.slates.policies import PlackettLuce
from croupier.serving.cli import app


@pytest.fixture(scope="module")
def world():
    return CascadeWorld.of(0)


def test_clicks_are_those_of_a_user_who_leaves_after_one(world):
    attraction = world.attraction[1]
    for number in (0, 7, 300):
        looks, expected = 1.0, []
        for arm in every_slate(ARMS, SLOTS)[number]:
            expected.append(looks * attraction[arm])
            looks *= PATIENCE * (1.0 - attraction[arm])
        assert world.clicks[1, number] == pytest.approx(expected)


def test_a_policy_of_a_stated_worth_has_exactly_that(world):
    champion = Enumerated(policy=world.policy(0.3), k=SLOTS)
    value = world.value(champion)
    for found in (world.worth(value), world.worth(value, beside=champion.policy)):
        assert world.value(found) == pytest.approx(value, abs=1e-12)
        assert abs(found.joint - champion.joint).sum(axis=1).min() > 0.2  # and shows other slates
    with pytest.raises(ValueError, match="clicks a slate, expected"):
        world.worth(0.99)


def test_drawn_logs_earn_what_is_computed(world):
    even = PlackettLuce(log_weights=np.zeros((6, ARMS)), mask=np.ones((6, ARMS), bool))
    _, _, reward = world.draw(even, 40_000, np.random.default_rng(0))
    assert set(np.unique(reward.sum(axis=1))) == {0.0, 1.0}
    by_slot = world.clicks.mean(axis=(0, 1))
    assert reward.mean(axis=0) == pytest.approx(by_slot, abs=4 * np.sqrt(by_slot.max() / 40_000))


@pytest.mark.medium
def test_the_command_writes_its_three_keys(tmp_path):
    out = tmp_path / "slates.json"
    done = CliRunner().invoke(app, ["simulate", "slates", "--seeds", "1", "--json", str(out)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert set(found) == {"false_promotion", "power", "power_independent_ips"}
    assert all(0 <= share <= 1 for share in found.values())
    assert "| candidate worth 6% more, logged by uniform | " in done.output


def test_rates_count_promotions_of_nulls_and_of_better_ones_apart():
    def row(candidate, estimator, decision):
        return {"worth": candidate, "estimator": estimator, "decision": decision, "logged": "uniform", "seed": 0}

    table = [
        row(c, e, "promote" if (c, e) in {("equal", "independent_ips"), ("better", "cascade_dr")} else "reject")
        for c in (*slate_rates.NULLS, slate_rates.BETTER)
        for e in slate_rates.JUDGED
    ]
    assert slate_rates.rates(table) == {"false_promotion": 0.0, "power": 1.0, "power_independent_ips": 0.0}
    wrong = [r | {"decision": "promote"} if r["worth"] == "half equal" else r for r in table]
    assert slate_rates.rates(wrong)["false_promotion"] == 0.5
