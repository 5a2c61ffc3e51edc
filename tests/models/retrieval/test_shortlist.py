"""A shortlist: the top arms, others with the probability that it says, derived from the event alone."""

import numpy as np
from scipy.stats import chisquare

from croupier.models.retrieval.shortlist import shortlist

TOP = np.array([7, 0, 3])


def drawn(event, *, arms=12, random=4, top=TOP, salt="s"):
    return shortlist(top, arms, random, salt=salt, event_id=event)


def test_every_other_arm_is_listed_with_the_probability_that_is_said():
    """4 of the 9 others: χ² of single arms, and of pairs, over 8,000 events."""
    events, singles, pairs = 8_000, np.zeros(12), np.zeros((12, 12))
    for i in range(events):
        rows = drawn(f"e{i}").rows[3:]
        singles[rows] += 1
        pairs[np.ix_(rows, rows)] += 1
    others = [arm for arm in range(12) if arm not in TOP]
    assert singles[TOP].sum() == 0
    np.testing.assert_allclose(singles[others] / events, 4 / 9, atol=0.02)
    both = np.array([pairs[a, b] for a in others for b in others if a < b])
    assert chisquare(both).pvalue > 1e-3
    np.testing.assert_allclose(both / events, 4 / 9 * 3 / 8, atol=0.02)


def test_a_draw_with_replacement_would_be_seen():
    for i in range(200):
        found = drawn(f"e{i}")
        assert len({*found.rows.tolist()}) == 7
        np.testing.assert_array_equal(found.rows[:3], TOP)
        np.testing.assert_allclose(found.inclusion, [1, 1, 1, *[4 / 9] * 4])


def test_it_is_the_events_alone():
    np.testing.assert_array_equal(drawn("e").rows, drawn("e").rows)
    assert not np.array_equal(drawn("e").rows, drawn("f").rows)
    assert not np.array_equal(drawn("e").rows, drawn("e", salt="t").rows)


def test_few_arms_are_all_listed():
    whole = shortlist(np.array([1, 0]), 2, 4, salt="s", event_id="e")
    np.testing.assert_array_equal(whole.rows, [1, 0])
    np.testing.assert_array_equal(whole.inclusion, [1.0, 1.0])
    three = shortlist(np.array([1]), 3, 9, salt="s", event_id="e")
    assert sorted(three.rows.tolist()) == [0, 1, 2]
    np.testing.assert_array_equal(three.inclusion, 1.0)
