"""The controller of long-run means: converges to a price known by hand, is bounded, monotone, deaf to missing hours."""

import numpy as np
import pytest

from croupier.models.constraints.pacing import HOURS, Controller, DayPlan

CONTROLLER = Controller(step=0.05, most=2.0, largest_move=0.05)
LIMIT = 0.1


def used_at(price):
    """Arms worth v, uniform in [0, 1], that use 1 are shown where v exceeds the price: of this problem the price of
    a limit ρ is 1 − ρ."""
    return 1.0 - min(price, 1.0)


def moved(hours, *, rng=None, start=0.0, controller=CONTROLLER):
    """The price after each hour, of 100 decisions; `rng`: what they use is drawn."""
    price, prices = start, []
    for _ in range(hours):
        used = used_at(price) if rng is None else rng.binomial(100, used_at(price)) / 100
        price = controller.move(price, used - LIMIT)
        prices.append(price)
    return np.array(prices)


@pytest.mark.parametrize("start", [0.0, 2.0])
def test_it_converges_to_the_price_that_is_known(start):
    assert abs(moved(400, start=start)[-HOURS:] - 0.9).max() < 1e-3


def test_it_stays_around_it_where_usage_is_random():
    assert abs(moved(1000, rng=np.random.default_rng(1))[200:].mean() - 0.9) < 0.01


def test_a_controller_that_moves_the_wrong_way_would_be_seen():
    class Planted(Controller):
        def move(self, price, excess):
            return super().move(price, None if excess is None else -excess)

    assert abs(moved(400, start=0.5, controller=Planted(step=0.05, most=2.0, largest_move=0.05))[-1] - 0.9) > 0.5


def test_a_price_is_bounded_whatever_an_hour_says():
    rng = np.random.default_rng(2)
    price = 0.0
    for excess in [*rng.normal(0, 100, 300), np.inf, -np.inf]:
        after = CONTROLLER.move(price, excess)
        assert 0 <= after <= CONTROLLER.most
        assert abs(after - price) <= CONTROLLER.largest_move + 1e-12
        price = after
    assert CONTROLLER.move(1.99, np.inf) == 2.0
    assert CONTROLLER.move(0.01, -np.inf) == 0.0


def test_more_used_never_lowers_the_price_and_a_missing_hour_moves_nothing():
    found = [CONTROLLER.move(0.5, excess) for excess in np.linspace(-3, 3, 61)]
    assert (np.diff(found) >= 0).all()
    assert found[0] < 0.5 < found[-1]
    assert CONTROLLER.move(0.7, None) == 0.7


def test_a_plan_is_the_median_of_past_days_and_one_strange_day_changes_nothing():
    usual = np.arange(1.0, HOURS + 1)
    holes = usual.copy()
    holes[5] = np.nan
    plan = DayPlan.of_days(1.0, [usual, usual, holes, usual * 50, usual])
    np.testing.assert_array_equal(plan.requests, usual)
    assert DayPlan.of_days(1.0, [usual * 0]).requests[0] == 0.5
    with pytest.raises(ValueError, match="no past day with hour 5"):
        DayPlan.of_days(1.0, [holes])


@pytest.mark.parametrize(("make", "says"), [
    (lambda: Controller(step=0.0, most=1.0, largest_move=1.0), "step: found 0.0"),
    (lambda: CONTROLLER.move(0.1, float("nan")), "excess: found NaN"),
    (lambda: DayPlan(budget=0.0, requests=np.ones(HOURS)), "budget: found 0.0"),
    (lambda: DayPlan(budget=1.0, requests=np.ones(23)), "requests: found"),
])  # fmt: skip
def test_wrong_arguments_are_refused(make, says):
    with pytest.raises(ValueError) as refused:
        make()
    assert str(refused.value).startswith(says)
