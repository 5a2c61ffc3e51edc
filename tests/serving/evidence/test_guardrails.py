"""Guardrails by hand: what a bet on slowness wins, whose luck is shared, what is left out."""

import numpy as np
import pytest

from croupier.serving.evidence.betting import HARM_EFFECTS
from croupier.serving.evidence.guardrails import Guardrail, judged, slowness, unproven

HALF = np.full(4, 0.5)
ASSIGNED = np.array([True, True, False, False])
SLOW = np.array([60_000, 60_000, 900, 900])  # µs


def latency(took, at=(1, 2, 3, 4), assigned=ASSIGNED, share=HALF):
    guard = slowness(np.array(took), np.array(at), assigned, 50.0)
    return judged({"latency": guard, "other": guard}, assigned, share, alpha=0.002)["latency"]


def test_the_bet_on_slowness_by_hand():
    """Baseline −½ and scale 1.6 (the most a range of 1 allows); each ξ is −¼, of which −1 % · ¼ is allowed."""
    found = latency(SLOW)
    factors = [1 + effect * 1.6 * (0.25 - 0.25 * 0.01) for effect in HARM_EFFECTS]
    assert found["log_wealth_harm"] == pytest.approx(np.log(np.mean(np.power(factors, 4))), abs=1e-12)
    assert (found["candidate"], found["champion"], found["harm"]) == (-1.0, 0.0, False)
    assert found["level"] == pytest.approx(np.log(2 / 0.002)), "two guardrails share the error"
    assert found["says"] == "p99 60.0 against 0.9 ms, limit 50 ms"


def test_exactly_the_limit_is_not_slow():
    assert latency([50_000, 50_000, 900, 900])["candidate"] == 0.0
    assert latency([50_001, 50_000, 900, 900])["candidate"] == -0.5


def test_decisions_of_one_batch_count_as_one():
    """Two batches of two: the design effect is 2, so the log-wealth halves."""
    alone, together = latency(SLOW), latency(SLOW, at=[1, 1, 2, 2])
    steps = np.log([1 + effect * 1.6 * (0.25 - 0.25 * 0.01) for effect in HARM_EFFECTS]) * 4 / 2
    assert together["log_wealth_harm"] == pytest.approx(np.log(np.mean(np.exp(steps))), abs=1e-12)
    assert 0 < together["log_wealth_harm"] < alone["log_wealth_harm"]


def test_what_was_not_measured_is_left_out():
    more = np.concatenate([ASSIGNED, [True, False]])
    found = latency([*SLOW, 0, 0], at=range(6), assigned=more, share=np.full(6, 0.5))
    assert found == latency(SLOW)
    nothing = latency([0] * 4)
    assert (nothing["log_wealth_harm"], nothing["harm"], nothing["candidate"]) == (0.0, False, 0.0)


def test_as_slow_as_the_champion_is_no_harm_and_slower_is():
    n, rng = 4000, np.random.default_rng(0)
    assigned, share, at = rng.random(n) < 0.5, np.full(n, 0.5), np.arange(n)
    both = np.where(rng.random(n) < 0.05, 80_000, 1_000)
    assert not latency(both, at, assigned, share)["harm"]
    worse = np.where(assigned & (rng.random(n) < 0.05), 80_000, both)
    assert latency(worse, at, assigned, share)["harm"]
    assert not latency(np.where(assigned, 40_000, 1_000), at, assigned, share)["harm"], "slower, within the limit"


def test_other_rewards_are_allowed_nothing():
    guard = Guardrail(value=np.array([0.0, 0.0, 1.0, 1.0]), width=1.0, cluster=np.arange(4, dtype=np.uint64))
    found = judged({"likes": guard}, ASSIGNED, HALF, alpha=0.002)["likes"]
    by_hand = np.log(np.mean([(1 + effect * 1.6 * 0.25) ** 4 for effect in HARM_EFFECTS]))
    assert found["log_wealth_harm"] == pytest.approx(by_hand, abs=1e-12)
    assert found["level"] == pytest.approx(np.log(1 / 0.002))


@pytest.mark.parametrize(
    ("rate", "margin", "within"), [(0.02, 0.01, True), (0.02, 0.0005, False), (0.035, 0.01, False)]
)
def test_before_the_last_step_a_guardrail_is_shown_to_be_within_its_margin(rate, margin, within):
    """Complaints of 2 % of the champion's 10,000 decisions, and of 2 or 3.5 % of the candidate's, evenly in time."""
    n = 10_000
    assigned = np.tile([True, False], n)
    value = np.zeros(2 * n)
    value[::2][np.arange(n) % round(1 / rate) == 0] = -1.0
    value[1::2][np.arange(n) % 50 == 25] = -1.0
    guard = Guardrail(value=value, width=1.0, cluster=np.arange(2 * n, dtype=np.uint64), margin=margin)
    free = Guardrail(value=value, width=1.0, cluster=np.arange(2 * n, dtype=np.uint64))
    found = judged({"complaint": guard, "other": free}, assigned, np.full(2 * n, 0.5), alpha=0.002, alpha_safe=0.02)
    assert found["complaint"]["within"] is within
    assert unproven(found) == ([] if within else ["complaint"])
    assert "within" not in found["other"]
