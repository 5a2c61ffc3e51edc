"""Inline arms in a log are counted under one key, and audited as one offer of all their probability."""

import math

import polars as pl

from croupier.features.encoding import inline_log
from croupier.features.health.exploration import exploration
from croupier.features.quality import audit

ROWS = pl.DataFrame(
    {
        "arms": [["a", "n1", "n2"], ["a", "b"], ["n3", "b"]],
        "arm": ["n2", "a", "b"],
        "pmf": [[0.5, 0.2, 0.3], [0.9, 0.1], [0.4, 0.6]],
        "propensity": [0.3, 0.9, 0.6],
        "reward": [1.0, 0.0, 0.0],
        "arm_features": ['[null,{"t":1},{"t":2}]', "[]", '[{"t":1},null]'],
    }
)


def test_ids_that_come_and_go_are_one_key():
    key = inline_log.INLINE
    assert inline_log.keyed(ROWS).to_list() == [["a", key, key], ["a", "b"], [key, "b"]]
    assert inline_log.listed(ROWS) == [["a"], ["a", "b"], ["b"]]
    assert inline_log.keyed(ROWS.drop("arm_features")).to_list() == ROWS["arms"].to_list()


def test_coverage_counts_them_offer_by_offer():
    found = exploration(ROWS)["arms"]
    assert found[inline_log.INLINE] == [3, 0.2 + 0.3 + 0.4]
    assert found["a"] == [2, 1.4]


def test_the_audit_sees_one_offer_a_decision():
    """Σ log(c^hit / (1 + (c − 1) p)) with p = .5 and a hit, then p = .4 and none, by hand."""
    found = audit._arm_ratios(ROWS)
    assert set(found) == {"a", "b", inline_log.INLINE}
    for c, value in zip(audit.FACTORS, found[inline_log.INLINE], strict=True):
        expected = math.log(c) - math.log1p((c - 1) * 0.5) - math.log1p((c - 1) * 0.4)
        assert math.isclose(value, expected, rel_tol=1e-12)
    alone = audit._arm_ratios(ROWS.filter(pl.col("arm") == "a").drop("arm_features"))
    assert math.isclose(alone["a"][0], math.log(audit.FACTORS[0]) - math.log1p((audit.FACTORS[0] - 1) * 0.9))
