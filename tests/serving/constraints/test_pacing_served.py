"""The simulation's shop through the served path, beside what the same policy earns at the best fixed prices, and by
greedy throttling.

    python -m tests.serving.constraints.test_pacing_served 50       # days; the table of serving/constraints/README.md
    python -m tests.serving.constraints.test_pacing_served 50 1 opportunity     # a seed; equal opportunity for parity
"""

import json
import sys

import numpy as np
import pytest

from croupier.models.simulation import pacing
from croupier.models.simulation.pacing_policy import FLOOR, TOLERANCE
from croupier.models.simulation.pacing_world import COSTS
from tests.serving.constraints import comparable, paced

LEARNT = 4  # days after which a day's spend is judged: until then no usual day is known
OPPORTUNITY = paced.TOML.replace('kind = "parity"', 'kind = "opportunity"')


def figures(run, after):
    """What was kept from the decision `after` on, of the days from LEARNT on what they spent, and what all earned."""
    error = abs(run.spent.sum(axis=1) - pacing.BUDGET)[LEARNT:] / pacing.BUDGET
    prices = comparable.best_fixed(run)
    best, greedy, mine = comparable.of_prices(run, prices), comparable.throttled(run), comparable.earned(run, run.pmfs)
    return run.kept(after) | {
        "decisions": len(run.arms),
        "most_spent": float(run.spent.sum(axis=1).max()),
        "spend_error": float(error.mean()),
        "largest_spend_error": float(error.max()),
        "reward_share_of_best_multiplier": mine["reward"] / best["reward"],
        "throttled_share": greedy["reward"] / best["reward"],
        "best": best | {"prices": prices},
        "lift_without": comparable.lifts(run, best["reward"]),
        "throttled": greedy,
    }


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_24_days_with_a_shock_are_held_to_what_is_declared():
    """Demand doubles on days 20 to 22: 54,000 decisions."""
    run = paced.served(24, 0)
    found = figures(run, after=40_000)
    assert found["decisions"] > 50_000
    assert found["most_spent"] <= pacing.BUDGET
    assert found["largest_spend_error"] < 0.02
    assert found["floor_share"] > FLOOR - 0.01
    assert found["parity_gap"] < TOLERANCE + 0.01
    assert found["reward_share_of_best_multiplier"] > 0.95
    assert found["throttled_share"] < found["reward_share_of_best_multiplier"] - 0.05


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_whom_offers_suit_is_shown_them_alike_after_50_000_decisions():
    """The groups' tastes differ, and so little is explored that rewards over probabilities alone say nothing: a price
    by them left 9 points between the groups."""
    run = paced.served(26, 1, toml=OPPORTUNITY)
    found = run.kept(after=50_000)
    assert len(run.arms) - 50_000 > 3_000
    assert found["opportunity_gap"] < TOLERANCE + 0.01
    assert found["floor_share"] > FLOOR - 0.01
    assert run.spent.sum(axis=1).max() <= pacing.BUDGET


@pytest.mark.slow
def test_a_day_is_served_with_prices_that_move(tmp_path):
    """The first day: the budget is held to the unit, and spent, at a price that was found within the day."""
    run = paced.served(1, 0)
    assert 0.98 * pacing.BUDGET < run.spent.sum() <= pacing.BUDGET
    assert run.spent[0, -6:].sum() > 100, "the evening has its part"
    assert 0.05 < run.prices[0]["spend"] < 0.2
    assert len(run.arms) == len(run.pmfs) == len(run.shop.scores)
    np.testing.assert_allclose(run.pmfs.sum(axis=1), 1, atol=1e-9)
    assert run.spent.sum() == COSTS[run.arms].sum()
    free = comparable.decide(run, {}, slice(0, 20))
    np.testing.assert_allclose(
        free, run.pmfs[:20], atol=1e-9, err_msg="before a price: what is compared is what was served"
    )


def main(days, seed=0, kind="parity"):
    run = paced.served(
        days, seed, toml=OPPORTUNITY if kind == "opportunity" else paced.TOML, told=lambda day: print(day, flush=True)
    )
    print(json.dumps(figures(run, after=min(50_000, len(run.arms) // 2)), indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]), int([*sys.argv, 0][2]), [*sys.argv, "", "parity"][3] or "parity")
