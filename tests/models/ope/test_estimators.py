"""Estimators against references written out here, row by row; moments against the whole."""

import numpy as np
import pytest

from croupier.models.ope import estimators as op
from croupier.models.ope.estimators import Moments, Rounds


def rounds(n=500, seed=0, k=5):
    rng = np.random.default_rng(seed)
    pmf, target = rng.dirichlet(np.ones(k), n), rng.dirichlet(np.ones(k), n)
    chosen = np.array([rng.choice(k, p=p) for p in pmf])
    predicted, row = rng.random((n, k)), np.arange(n)
    whole = Rounds(
        reward=rng.random(n),
        propensity=pmf[row, chosen],
        target=target[row, chosen],
        predicted=predicted[row, chosen],
        direct=(target * predicted).sum(1),
        thinning=np.ones(n),
    )
    return whole, target, predicted


def test_estimators_equal_a_plain_loop():
    r, target, q = rounds()
    n, dm, ips, dr, switch, shrunk, clipped, up, down, residual = len(r), 0, 0, 0, 0, 0, 0, 0, 0, 0
    for i in range(n):
        w, direct = r.target[i] / r.propensity[i], sum(target[i, a] * q[i, a] for a in range(5))
        gap = r.reward[i] - r.predicted[i]
        dm, ips, dr = dm + direct, ips + w * r.reward[i], dr + direct + w * gap
        switch += direct + (w * gap if w <= 2.0 else 0.0)
        shrunk += direct + 3.0 * w / (w * w + 3.0) * gap
        clipped += min(w, 2.0) * r.reward[i]
        up, down, residual = up + w * r.reward[i], down + w, residual + w * gap
    expected = {"dm": dm / n, "ips": ips / n, "dr": dr / n, "snips": up / down, "sndr": dm / n + residual / down}
    for name, value in expected.items():
        assert getattr(op, name)(r).mean() == pytest.approx(value, abs=1e-12), name
    assert op.switch_dr(r, threshold=2.0).mean() == pytest.approx(switch / n, abs=1e-12)
    assert op.dr_os(r, shrinkage=3.0).mean() == pytest.approx(shrunk / n, abs=1e-12)
    assert op.clipped_ips(r, cap=2.0).mean() == pytest.approx(clipped / n, abs=1e-12)


@pytest.mark.medium
def test_snips_spread_is_that_of_repeated_logs():
    """The linearisation's standard error is the spread of the estimate over fresh logs."""
    values = [op.snips(rounds(400, seed)[0]) for seed in range(150)]
    claimed = np.mean([Moments.of(v).standard_error for v in values])
    assert claimed == pytest.approx(np.std([v.mean() for v in values]), rel=0.2)


def test_moments_add_without_cancellation():
    x = 1e6 + np.random.default_rng(1).normal(size=10_000) * 1e-3
    parts = sum((Moments.of(x[i : i + 777]) for i in range(0, 10_000, 777)), Moments())
    assert (parts.n, parts.mean) == (10_000, pytest.approx(x.mean(), rel=1e-14))
    assert parts.variance == pytest.approx(np.var(x, ddof=1), rel=1e-6)


@pytest.mark.medium
def test_thinned_rows_count_for_those_dropped():
    """A log whose second half was thinned to a quarter: estimates are those of the whole log, up to noise."""
    r, *_ = rounds(40_000, k=3)
    rng = np.random.default_rng(3)
    shifted = op.ips(r) + np.linspace(0, 1, len(r))
    kept = (np.arange(len(r)) < 20_000) | (rng.random(len(r)) < 0.25)
    omega = np.where(np.arange(len(r)) < 20_000, 1.0, 4.0)[kept]
    corrected = op.unthinned(shifted[kept], omega)
    assert corrected.mean() == pytest.approx((omega * shifted[kept]).sum() / omega.sum(), abs=1e-12)
    assert abs(corrected.mean() - shifted.mean()) < 3 * Moments.of(corrected).standard_error
    assert abs(shifted[kept].mean() - shifted.mean()) > 10 * Moments.of(corrected).standard_error


def test_effective_size_and_largest_share():
    w = np.array([1.0, 1.0, 2.0])
    assert op.effective_sample_size(w) == pytest.approx(16 / 6)
    assert op.largest_share(w) == 0.5
    assert (op.effective_sample_size(np.zeros(3)), op.largest_share(np.zeros(3))) == (0.0, 1.0)


def test_no_overlap_gives_zero_not_nan():
    r, *_ = rounds(10)
    none = Rounds(
        reward=r.reward,
        propensity=r.propensity,
        target=np.zeros(10),
        predicted=r.predicted,
        direct=r.direct,
        thinning=r.thinning,
    )
    assert op.snips(none).tolist() == [0.0] * 10
    assert op.dr(none).tolist() == r.direct.tolist()


@pytest.mark.parametrize(("bad", "words"), [(0.0, "row 3"), (np.nan, "propensity"), (1.5, "0 < p ≤ 1")])
def test_impossible_propensities_are_refused(bad, words):
    r, *_ = rounds(10)
    p = r.propensity.copy()
    p[3] = p[7] = bad  # the first one is named
    with pytest.raises(ValueError, match=words):
        Rounds(
            reward=r.reward, propensity=p, target=r.target, predicted=r.predicted, direct=r.direct, thinning=r.thinning
        )


def test_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected one \(n,\) for all"):
        Rounds(
            reward=np.ones(3),
            propensity=np.ones(2),
            target=np.ones(3),
            predicted=np.ones(3),
            direct=np.ones(3),
            thinning=np.ones(3),
        )
