"""A day's price: solved for what is left, by hand; demand followed; a day that ends at its budget."""

import numpy as np
import pytest

from croupier.models.constraints.day_price import DayLook, allowed, demand_level, price_of, to_come
from croupier.models.constraints.pacing import HOURS, DayPlan

PLAN = DayPlan(budget=240.0, requests=np.full(HOURS, 100.0))  # .1 a request


def look(hour, today, spent, yesterday=100.0):
    """Of a day by `hour`: the requests of its hours so far, after a yesterday that was alike in every hour."""
    return DayLook(
        requests=np.array([yesterday] * HOURS + [*today] + [np.nan] * (HOURS - len(today))), spent=spent, hour=hour
    )


def test_what_is_left_is_spread_over_the_requests_that_are_to_come():
    as_planned = look(6.0, [100.0] * 6, 60.0)
    assert demand_level(PLAN, as_planned) == pytest.approx(1.0)
    assert to_come(PLAN, as_planned) == pytest.approx(1800.0)
    assert allowed(PLAN, as_planned) == pytest.approx(180 / 1800)
    assert allowed(PLAN, look(6.0, [100.0] * 6, 120.0)) == pytest.approx(120 / 1800)
    assert allowed(PLAN, look(6.0, [100.0] * 6, 300.0), square=9.0) == 0.0
    assert to_come(PLAN, look(6.5, [100.0] * 6 + [50.0], 60.0)) == pytest.approx(1750.0), "half an hour is half of one"
    assert allowed(PLAN, as_planned, square=4.0) == pytest.approx((180 + np.sqrt(4 * 1800)) / 1800)


def test_the_latest_hours_say_how_busy_the_rest_of_the_day_will_be():
    """By hand, with a half-life of two hours and 96 requests of prior: (Σ w r + 96) / (Σ w 100 + 96)."""
    busy = look(3.0, [100.0, 100.0, 300.0], 0.0)
    age = np.array([*range(26, 2, -1), 2, 1, 0])
    weight = 0.5 ** (age / 2)
    requests = np.array([100.0] * 26 + [300.0])
    assert demand_level(PLAN, busy) == pytest.approx((weight @ requests + 96) / (weight.sum() * 100 + 96))
    assert 1.3 < demand_level(PLAN, busy) < 1.5 < demand_level(PLAN, look(5.0, [100.0, 100.0, 300.0, 300.0, 300.0], 0))
    unknown = look(3.0, [100.0, 100.0, np.nan], 0.0)
    assert demand_level(PLAN, unknown) == pytest.approx(1.0), "an hour that is not known is not one without requests"


def test_a_price_is_the_least_that_keeps_the_rate():
    def spends(price):
        return max(1.0 - price, 0.0) * 3

    assert price_of(0.3, spends, most=2.0) == pytest.approx(0.9, abs=2e-4)
    assert spends(price_of(0.3, spends, most=2.0)) <= 0.3
    assert price_of(3.0, spends, most=2.0) == 0.0
    assert price_of(0.3, spends, most=0.5) == 0.5, "as much as there may be"
    assert price_of(0.3, lambda price: 2.0, most=2.0) == 0.0, "a policy without scores knows no price"


@pytest.mark.parametrize("demand", [1.0, 10.0, 0.5])
def test_a_day_ends_at_its_budget_though_demand_changes_at_ten(demand):
    """Spend of a request at price λ is 1 − λ; looks are an hour apart. The hour of a jump to ten times is known after it."""
    requests, spent = [], 0.0
    for hour in range(HOURS):
        now = look(float(hour), requests, spent)
        price = price_of(allowed(PLAN, now), lambda price: max(1 - price, 0.0), most=1.0)
        requests.append(100.0 * (demand if hour >= 10 else 1.0))
        spent = min(spent + requests[-1] * (1 - price), PLAN.budget)
    assert spent == pytest.approx(PLAN.budget, rel=0.02)


@pytest.mark.parametrize(("make", "says"), [
    (lambda: DayLook(requests=np.ones(24), spent=0.0, hour=1.0), "requests: found"),
    (lambda: DayLook(requests=np.full(48, -1.0), spent=0.0, hour=1.0), "requests: found"),
    (lambda: DayLook(requests=np.ones(48), spent=float("nan"), hour=1.0), "look: found nan"),
    (lambda: DayLook(requests=np.ones(48), spent=0.0, hour=24.0), "look: found 0.0 spent at hour 24.0"),
])  # fmt: skip
def test_wrong_arguments_are_refused(make, says):
    with pytest.raises(ValueError) as refused:
        make()
    assert str(refused.value).startswith(says)
