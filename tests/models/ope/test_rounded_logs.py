"""Probabilities as people log them: of six or seven digits, or float32. Rounding is no lie; a wrong rate still is."""

import numpy as np
import pytest

from croupier.features.exchange.tables.tabular import TableSource
from croupier.models.ope import self_tests
from croupier.models.ope.intervals import Bounds, cressie_read
from tests.models.ope.test_self_tests import drawn_from


def as_said(K, p, seed, share=None, n=3000):
    """A log of K arms drawn by `share` (uniformly) of which only the drawn arm's probability, `p`, was kept."""
    log = drawn_from(np.tile(share if share is not None else np.full(K, 1 / K), (n, 1)), seed)
    log.pmf[:] = (1.0 - p) / (K - 1)
    log.pmf[np.arange(n), log.chosen] = p
    log.propensity[:] = p
    return log


@pytest.mark.medium
@pytest.mark.parametrize("round_", [float, np.float32, lambda p: round(p, 6), lambda p: round(p, 7)])
def test_a_true_uniform_log_passes_however_it_was_rounded(round_):
    p = [self_tests.propensity(as_said(K, float(round_(1 / K)), K)) for K in range(2, 101)]
    assert min(p) > 1e-4
    assert np.mean(np.array(p) < 0.01) <= 0.04


@pytest.mark.parametrize("digits", [6, 7])
def test_uneven_draws_said_to_be_uniform_are_still_found(digits):
    assert self_tests.propensity(as_said(3, round(1 / 3, digits), 1, share=[0.45, 0.3, 0.25])) < 1e-6


def test_a_pmf_of_six_digits_is_read_and_a_wrong_one_is_not(tmp_path):
    path = tmp_path / "log.csv"
    good, bad = "[0.333333, 0.333333, 0.333333]", "[0.333333, 0.333333, 0.333323]"
    rows = [f'{arm},0.333333,1,"[""a"",""b"",""c""]","{pmf}"' for arm, pmf in (("a", good), ("b", good), ("c", bad))]
    path.write_text("\n".join(["arm,propensity,reward,arms,pmf", *rows]))
    source = TableSource(path, unit_key="k", columns={})
    assert [r.decision.pmf for r in source.records()] == [pytest.approx((1 / 3,) * 3, abs=1e-12)] * 2
    assert sum(source.skipped.values()) == 1
    assert source.rounding.said() == [], "six digits are all that anybody writes"


def test_cressie_read_knows_nothing_of_a_policy_that_was_never_seen():
    assert cressie_read(np.zeros(50), np.ones(50), alpha=0.05, low=0.0, high=1.0) == Bounds(0.0, 1.0)
