"""Rewards that are late, or missing, for one role: named when they are, and hardly ever when they are not."""

import numpy as np
import pytest

from croupier.serving.evidence import lateness


def test_evidence_by_hand():
    """One decision on time of one role and none of the other: Beta(½, 9½) gave it 0.95, the best share of both 1."""
    assert lateness.log_e(0, 1, 0, 0) == pytest.approx(np.log(0.95))
    assert lateness.log_e(1, 1, 0, 1) == pytest.approx(np.log(0.05 * 0.95 / 0.25))


@pytest.mark.parametrize("share", [0.002, 0.05, 0.4])
def test_equal_shares_are_hardly_ever_told_apart_in_a_hundred_looks(share):
    rng, runs = np.random.default_rng(3), 2000
    n = np.stack([rng.binomial(200, 0.05, (runs, 100)), rng.binomial(200, 0.95, (runs, 100))])
    late = rng.binomial(n, share).cumsum(axis=2)
    total = n.cumsum(axis=2)
    alarms = (lateness.log_e(late[0], total[0], late[1], total[1]) >= -np.log(lateness.ALPHA)).any(axis=1)
    assert alarms.mean() <= lateness.ALPHA + 3 * (lateness.ALPHA / runs) ** 0.5


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ((0.10, 0.0), "rewards of the candidate are late more often than those of the champion"),
        ((0.0, 0.10), "rewards of the champion are late more often than those of the candidate"),
        ((0.10, 0.10), ""),
        ((0.0, 0.0), ""),
    ],
)
def test_the_role_is_named(late, expected):
    candidate = np.repeat([True, False], [200, 2000])
    tardy = np.concatenate([np.arange(200) < 200 * late[0], np.arange(2000) < 2000 * late[1]])
    found = lateness.uneven(~tardy, tardy, candidate, np.arange(2200, dtype=np.uint64))
    assert found == ([expected] if expected else [])


def test_decisions_without_any_reward_are_missing_where_nearly_all_have_one():
    candidate = np.repeat([True, False], [200, 2000])
    on_time = np.concatenate([np.arange(200) >= 40, np.arange(2000) >= 20])
    none, unit = np.zeros(2200, bool), np.arange(2200, dtype=np.uint64)
    missing = "rewards of the candidate are missing more often than those of the champion"
    assert lateness.uneven(on_time, none, candidate, unit) == [missing]
    clicks = np.concatenate([np.arange(200) < 20, np.arange(2000) < 400])
    assert lateness.uneven(clicks, none, candidate, unit) == [], "few click: those who do not are no loss"


def test_one_unit_whose_rewards_are_late_together_is_not_evidence_of_a_role():
    """Thirty late rewards of one phone in a tunnel, of 200 of the candidate's."""
    candidate, late = np.repeat([True, False], [200, 2000]), np.arange(2200) < 30
    alone = np.arange(2200, dtype=np.uint64)
    assert lateness.uneven(~late, late, candidate, alone)
    assert lateness.uneven(~late, late, candidate, np.where(late, np.uint64(0), alone)) == []
