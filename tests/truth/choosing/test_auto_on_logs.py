"""How the measurement of `auto` on logs counts, and what it finds at a small size."""

import numpy as np
import pytest

from croupier.models.exploration import guard
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.trial import sums
from tests.truth.choosing.auto_on_logs import Found, Line, Log, cases, found, summary
from tests.truth.choosing.awkward_logs import AWKWARD, Evenly, clicks, costs, heavy

SMALL = (
    Configuration("lin_ucb", {"heads": "per_arm"}),
    Configuration("lin_ts", {"heads": "per_arm"}),
    Configuration("uniform"),
)


def judged(values):
    return {"value": float(np.mean(values)), "sums": sums(np.array(values)).tolist(), "rows": [0, len(values)]}


def test_a_line_by_hand():
    low, high = [0.0] * 60, [1.0, 2.0] * 30
    common = {"training": np.array([1.0, 2.0, 4.0]), "judging": np.array([1.0, 1.0, 1.0])}
    one = Found(np.array([0.5, 0.7, 0.1]), [judged(low), judged(high), judged(low)], **common, left=[1], choosing=6.0)
    two = Found(
        np.array([0.4, 0.8, 0.9]), [judged(high), judged(low), judged(low)], **common, left=[0, 1], choosing=9.0
    )
    assert (one.taken, two.taken) == (1, 0)
    assert one.cost == pytest.approx((8 / 4, 9 / 5))
    assert two.cost == pytest.approx((12 / 4, 14 / 5))
    line = Line.of([one, two])
    assert (line.best, line.worth) == (1, pytest.approx(0.75))
    assert line.gap == pytest.approx((0.0 + 0.4) / 2)
    assert line.over_seeds == pytest.approx(0.2)
    spread = np.std([1.0, 2.0] * 30, ddof=1) * np.sqrt(60) / 60  # of the second log; the first compares it with itself
    assert line.of_gate == pytest.approx(spread / np.sqrt(2))
    assert line.met == (True, False)
    assert summary([line]).startswith("1 lines: within one standard error over seeds 1, of the gate 0, of either 1; ")
    assert "three times as dear as training 1, as training and judging 1 (medians 2.5, 2.3)" in summary([line])


@pytest.mark.parametrize("law", [clicks, costs, heavy])
def test_rewards_have_the_means_that_count_as_true(law):
    mean = -0.3 if law is costs else 0.3
    drawn = law(np.full(400_000, mean), np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(mean, abs=4 * drawn.std() / np.sqrt(len(drawn)))


def test_every_kept_back_and_awkward_set_has_as_many_rows_as_it_says():
    names = {name: rows for sets in ("awkward", "kept_back") for name, rows, _ in cases(sets, 4000)}
    assert len(names) == 12
    assert (names["200 rows"], names["1,000 rows"], names["waves"]) == (200, 1000, 4000)


@pytest.mark.parametrize("logged", ["even", "uneven", "greedy"])
def test_what_auto_is_worth_on_a_small_log(logged):
    log = Log(AWKWARD["costs"](6000, np.random.default_rng(0)), logged, 1000, 0)
    pmf = log.whole.pmf
    assert guard(pmf, log.whole.batch.mask).shape == (1000, 5)
    ess = {"even": 1.0, "uneven": 0.86, "greedy": 0.027}[logged]
    weights = 0.2 / log.whole.propensity
    assert weights.sum() ** 2 / (weights**2).sum() / 1000 == pytest.approx(ess, rel=0.3)
    seen = found(log, SMALL)
    even = (Evenly().pmf(log.test.batch) * log.means).sum(axis=1).mean()
    assert seen.worth[2] == pytest.approx(even)
    assert seen.worth[:2].min() > even + 0.2
    assert seen.left
    assert 2 not in seen.left
    assert seen.worth[seen.taken] > seen.worth.max() - 0.1
