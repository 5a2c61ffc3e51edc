"""Thirty virtual days, unattended, from `uniform` alone: issue 12's figures at their full size (hours; `make test-full`).

Small sizes of the same are in test_month.py. The README's and GATE.md's figures are remade by `croupier simulate loop`.
"""

import numpy as np
import pytest

from croupier.serving.simulation.month import month, null

pytestmark = [pytest.mark.full, pytest.mark.slow]
PER_DAY = 6000


def thirty_days(folder, *, seed=1, days=30, down=(), **crowd):
    hours = {part: frozenset(range(*span)) for part, span in dict(down).items()}
    plan = month.MonthPlan(crowd=month.crowd_of(seed, per_day=PER_DAY, **crowd), days=days, every="12h", down=hours)
    found = month.run(plan, folder)
    assert found["errors"] == 0
    assert found["trained_share"] >= 0.99
    return found


OUTAGES = {"airflow": (200, 206), "store": (320, 326), "triton": (440, 446)}


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_loop_lives_on_its_own_schedule(tmp_path, seed):
    """Six hours without each part among them."""
    found = thirty_days(tmp_path, seed=seed, down=OUTAGES)
    assert found["lift_share_of_best"] >= 0.9
    assert 0 < found["reached_100_day"][0] <= 7
    assert found["failed_runs"] > 0, "the store's outage was felt"


def test_a_flip_of_tastes_is_followed_within_five_days(tmp_path):
    found = thirty_days(tmp_path, flip=15)
    assert found["lift_by_day"][14] < 0.3, "the day of the flip: what was learnt is wrong"
    assert found["lift_by_day"][19] >= 0.8, "day 20"
    assert np.mean(found["lift_by_day"][20:]) >= 0.8


def test_arms_come_and_go_for_a_month(tmp_path):
    found = thirty_days(tmp_path, churn=True)
    assert found["lift_share_of_best"] >= 0.8
    assert len(found["catalogue"]) == 29
    assert all(said.startswith("release ") for said in found["catalogue"])


def test_two_hundred_null_months_and_a_hundred_better_ones():
    found = null.table(months=200, per_day=1000, better=100, schemes=("prequential",), jobs=2)
    row = found["schemes"]["prequential"]
    assert row["promoted"] <= 0.05
    assert row["better_serves_by_day_14"] >= 0.9
