"""Probabilities of few digits: made whole where rounding explains what is missing, else left for the check to refuse."""

import json
from pathlib import Path

import numpy as np
import pytest

from croupier.features.exchange.rounded import Rounding, half_step
from croupier.features.exchange.sources import open_source
from croupier.features.exchange.tables.tabular import TableSource

ARMS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("numbers", "step"),
    [
        ([0.33, 0.33], 0.005),
        ([0.5], 0.005),
        ([1], 0.005),
        ([0.333, 0.67], 0.0005),
        ([float(np.float32(0.33))], 0.005),
        ([1 / 3], 5e-7),
        ([0.33333], 5e-6),
    ],
)
def test_the_digits_are_those_that_all_have(numbers, step):
    assert half_step(numbers) == pytest.approx(step, rel=1e-9)


@pytest.mark.parametrize("digits", [2, 3, 4, 5])
def test_whatever_was_rounded_is_made_whole_and_near_the_truth(digits):
    rng, rounding = np.random.default_rng(digits), Rounding()
    for n in rng.integers(2, 12, 300):
        truth = rng.dirichlet(np.ones(n))
        written, arms = [round(float(p), digits) for p in truth], [str(i) for i in range(n)]
        shown = int(truth.argmax())
        pmf, p = rounding.whole(written, arms, str(shown), written[shown])
        assert sum(pmf) == pytest.approx(1.0, abs=2e-7)
        assert p == pytest.approx(pmf[shown], abs=1e-12)
        off = 0.5 * 10.0**-digits
        assert abs(p - truth[shown]) <= off + p * n * off + 1e-12
    assert rounding.sums > 100


@pytest.mark.parametrize("pmf", [(0.5, 0.3, 0.1), (0.5, 0.4, 0.05), (0.333, 0.333, 0.33), (0.6, 0.5, 0.2), (1, 1, 1)])
def test_what_no_rounding_explains_stays_as_it_is(pmf):
    rounding = Rounding()
    assert rounding.whole(pmf, ARMS, "a", pmf[0]) == (pmf, pmf[0])
    assert rounding.said() == []


def test_of_two_statements_the_one_of_more_digits_holds():
    rounding, third = Rounding(), 1 / 3
    assert rounding.whole((third, third, third), ARMS, "b", 0.33) == ((third, third, third), third)
    pmf, p = rounding.whole((0.33, 0.33, 0.34), ARMS, "a", 0.3333)
    assert (p, pmf[0]) == (0.3333, 0.3333)
    assert pmf == pytest.approx((0.3333, 0.6667 * 33 / 67, 0.6667 * 34 / 67), abs=1e-12)
    assert rounding.propensities == 2
    assert rounding.whole((0.33, 0.33, 0.34), ARMS, "a", 0.35) == ((0.33, 0.33, 0.34), 0.35), "and no other"


def test_exact_probabilities_stay_bit_for_bit_and_nothing_is_said():
    rounding = Rounding()
    for pmf in ((0.6, 0.3, 0.1), (1 / 3, 1 / 3, 1 - 2 / 3), (0.07, 0.9, 0.03)):
        assert rounding.whole(pmf, ARMS, "b", pmf[1]) == (pmf, pmf[1])
    assert rounding.said() == []


def test_the_same_of_dsjson(tmp_path):
    def line(event, p, stated):
        return json.dumps(
            {"_label_cost": -1, "_label_probability": stated, "_label_Action": 2, "_labelIndex": 1, "EventId": event,
             "Timestamp": "2026-03-01T10:00:00Z", "a": [2, 1, 3], "p": p,
             "c": {"Context": {"x": 1}, "_multi": [{"_tag": arm} for arm in ARMS]}}
        )  # fmt: skip

    path = Path(tmp_path / "log.dsjson")
    path.write_text("\n".join([line("e1", [0.33] * 3, 0.33), line("e2", [0.33, 0.33, 0.2], 0.33)]))
    source = open_source(path, unit_key="k")
    (record,) = source.records()
    assert record.decision.propensity == record.decision.pmf[1] == pytest.approx(1 / 3, abs=1e-12)
    assert source.skipped == {"bad pmf": 1}
    assert source.rounding.sums == 1


def test_a_pmf_that_is_no_number_is_refused(tmp_path):
    import polars as pl

    table = pl.DataFrame(
        {"arm": ["a"], "arms": [["a", "b"]], "pmf": [[1.0, float("nan")]], "propensity": [1.0], "y": [1]}
    )
    source = TableSource(tmp_path, unit_key="k", columns={}, table=table)
    assert list(source.records()) == []
    assert source.skipped == {"bad pmf": 1}
