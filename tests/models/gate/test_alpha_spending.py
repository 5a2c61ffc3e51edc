"""Error is spent once per hypothesis, never more than there is, and a null that is retrained daily stays out."""

import numpy as np
import pytest

from croupier.models.gate.alpha_spending import Ledger
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import asymptotic_cs


def test_a_new_candidate_or_a_new_start_costs_and_a_second_look_does_not():
    ledger = Ledger(family="reels", alpha=0.05)
    first = ledger.next_alpha(["a", "b"], 0)
    assert first == pytest.approx(0.05 * 6 / np.pi**2)
    ledger = ledger.record(at=1, candidates=["b", "a"], start=0, rows=100, decisions={"a": "not enough evidence"})
    assert ledger.next_alpha(["a", "b"], 0) == first  # the same, on a grown log
    assert ledger.next_alpha(["a", "c"], 0) == pytest.approx(first / 4)
    assert ledger.next_alpha(["a", "b"], 7) == pytest.approx(first / 4)
    again = ledger.record(at=2, candidates=["a", "b"], start=0, rows=200, decisions={})
    assert again.spent == pytest.approx(first)


def test_all_hypotheses_together_spend_no_more_than_alpha():
    ledger = Ledger(family="reels", alpha=0.05)
    for day in range(300):
        ledger = ledger.record(at=day, candidates=[f"c{day}"], start=0, rows=day, decisions={})
    assert 0.049 < ledger.spent < 0.05


def test_json_round_trip_and_order():
    ledger = Ledger(family="f", alpha=0.1).record(at=5, candidates=["x"], start=1, rows=9, decisions={"x": "reject"})
    assert Ledger.from_json(ledger.to_json()) == ledger
    with pytest.raises(ValueError, match="before the last look at 5"):
        ledger.record(at=4, candidates=["x"], start=1, rows=9, decisions={})


def test_thirty_daily_retrained_nulls_are_promoted_at_most_as_often_as_promised():
    """Every day a fresh null candidate on 2,000 fresh rows: with the ledger ≤ 5 % of months see one, without, many."""
    rng, with_ledger, without = np.random.default_rng(0), 0, 0
    for _ in range(200):
        ledger, wrong, naive = Ledger(family="f", alpha=0.05), False, False
        for day in range(30):
            lift = Moments.of(rng.normal(size=2000))
            alpha = ledger.next_alpha([f"c{day}"], day)
            wrong |= asymptotic_cs(lift, alpha=alpha).lower > 0
            naive |= bool(lift.mean > 1.645 * lift.standard_error)
            ledger = ledger.record(at=day, candidates=[f"c{day}"], start=day, rows=2000, decisions={})
        with_ledger, without = with_ledger + wrong, without + naive
    assert with_ledger <= 10
    assert without > 120
