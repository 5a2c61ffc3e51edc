"""The controller: converges to a price known by hand, is bounded, monotone, and deaf to hours that are missing."""

import numpy as np
import pytest

from croupier.models.constraints.pacing import HOURS, Controller, DayPlan, DaySoFar, allowed_rate, day_excess, level

PLAN = DayPlan(budget=240.0, requests=np.full(HOURS, 100.0))  # .1 a request
CONTROLLER = Controller(step=0.05, most=2.0, largest_move=0.05)


def day(now, requests, spent):
    """The first hours of a day; None for one that has not matured."""
    filled = [
        np.array([np.nan if x is None else x for x in hours] + [np.nan] * (HOURS - len(hours)))
        for hours in (requests, spent)
    ]
    return DaySoFar(requests=filled[0], spent=filled[1], now=now)


def spend_of(price, requests):
    """Offers worth v, uniform in [0, 1], that cost 1 are shown where v exceeds the price: of this problem the price of
    a budget of ρ a request is 1 − ρ."""
    return requests * (1.0 - min(price, 1.0))


def paced_days(days, *, rng=None, start=0.0, controller=CONTROLLER):
    """The price of each hour, and spend of each day, where hours are known as they end."""
    price, prices, spends = start, [], []
    for _ in range(days):
        requests, spent = np.full((2, HOURS), np.nan)
        for hour in range(HOURS):
            so_far = DaySoFar(requests=requests.copy(), spent=spent.copy(), now=hour)
            price = controller.move(price, day_excess(PLAN, so_far, hour - 1 if hour else None))
            requests[hour] = 100 if rng is None else rng.poisson(100)
            spent[hour] = (
                spend_of(price, requests[hour]) if rng is None else rng.binomial(requests[hour], max(1 - price, 0))
            )
            prices.append(price)
        spends.append(spent.sum())
    return np.array(prices), np.array(spends)


@pytest.mark.parametrize("start", [0.0, 2.0])
def test_it_converges_to_the_price_that_is_known(start):
    prices, spends = paced_days(40, start=start)
    assert abs(prices[-HOURS:] - 0.9).max() < 1e-3
    assert abs(spends[-1] - PLAN.budget) < 1e-3 * PLAN.budget


def test_it_stays_around_it_where_spend_is_random():
    prices, spends = paced_days(60, rng=np.random.default_rng(1))
    assert abs(prices[20 * HOURS :].mean() - 0.9) < 0.01
    assert abs(spends[20:].mean() / PLAN.budget - 1) < 0.05


def test_a_controller_that_moves_the_wrong_way_would_be_seen():
    class Planted(Controller):
        def move(self, price, excess):
            return super().move(price, None if excess is None else -excess)

    prices, _ = paced_days(40, start=0.5, controller=Planted(step=0.05, most=2.0, largest_move=0.05))
    assert abs(prices[-1] - 0.9) > 0.5


def test_a_price_is_bounded_whatever_an_hour_says():
    rng = np.random.default_rng(2)
    price = 0.0
    for excess in [*rng.normal(0, 100, 300), np.inf, -np.inf]:
        moved = CONTROLLER.move(price, excess)
        assert 0 <= moved <= CONTROLLER.most
        assert abs(moved - price) <= CONTROLLER.largest_move + 1e-12
        price = moved
    assert CONTROLLER.move(1.99, np.inf) == 2.0
    assert CONTROLLER.move(0.01, -np.inf) == 0.0


def test_more_spent_in_any_hour_never_lowers_the_price():
    rng = np.random.default_rng(3)
    for _ in range(300):
        now = int(rng.integers(1, HOURS))
        requests, spent = rng.poisson(100, now).astype(float), rng.gamma(2, 5, now)
        missing = rng.random(now) < 0.2
        missing[-1] = False
        requests[missing] = spent[missing] = np.nan
        more = spent.copy()
        more[rng.integers(now)] += rng.gamma(1, 20)

        def price(spent, now=now, requests=requests):
            return CONTROLLER.move(0.5, day_excess(PLAN, day(now, list(requests), list(spent)), now - 1))

        assert price(more) >= price(spent)


def test_a_missing_hour_moves_nothing():
    missing = day(3, [100, 100, None], [10, 10, None])
    assert day_excess(PLAN, missing, 2) is None
    assert day_excess(PLAN, missing, None) is None
    assert CONTROLLER.move(0.7, None) == 0.7


def test_a_missing_hour_is_not_an_hour_in_which_nothing_was_spent():
    """Twice the plan was spent in the hours that are known: 20 of 240 each, the missing one taken to be like them."""
    assert allowed_rate(PLAN, day(3, [100, 100, None], [20, 20, None])) == pytest.approx((240 - 60) / 2100)
    assert allowed_rate(PLAN, day(3, [100, 100, 100], [20, 20, 0])) == pytest.approx((240 - 40) / 2100)
    assert allowed_rate(PLAN, day(2, [None, None], [None, None])) == pytest.approx(0.1)


def test_what_is_left_is_spread_over_the_requests_that_are_to_come():
    busy = day(4, [200] * 4, [20] * 4)
    prior = 0.04 * 2400
    assert level(PLAN, busy) == pytest.approx((800 + prior) / (400 + prior))
    assert allowed_rate(PLAN, busy) == pytest.approx((240 - 80) / (level(PLAN, busy) * 2000))
    assert allowed_rate(PLAN, day(4, [100] * 4, [100] * 4)) == 0.0
    assert day_excess(PLAN, busy, 3) == pytest.approx((20 - 200 * allowed_rate(PLAN, busy)) / 10)


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
    (lambda: day(1, [100], [None]), "day: found an hour with requests or spend alone"),
    (lambda: day(1, [100, 100], [1, 1]), "day: found a matured hour at or after 1"),
    (lambda: day(1, [100], [-1]), "day: found negative"),
])  # fmt: skip
def test_wrong_arguments_are_refused(make, says):
    with pytest.raises(ValueError) as refused:
        make()
    assert str(refused.value).startswith(says)
