"""A stream's estimates and standard errors are those of the whole log, however it is cut."""

import numpy as np
import pytest

from croupier.models.ope import estimators as op
from croupier.models.ope.estimators import Moments, Rounds
from croupier.models.ope.streaming import Totals, total


def rounds(n=5000, seed=0):
    rng = np.random.default_rng(seed)
    return Rounds(
        reward=1e3 + rng.random(n),
        propensity=rng.uniform(0.05, 1, n),
        target=rng.random(n),
        predicted=1e3 + rng.random(n),
        direct=1e3 + rng.random(n),
        thinning=rng.choice([1.0, 4.0], n),
    )


@pytest.mark.parametrize("cut", [1, 7, 999, 5000])
def test_any_cut_gives_the_estimates_of_the_whole(cut):
    whole = rounds(2000 if cut == 1 else 5000)
    found = total(whole[i : i + cut] for i in range(0, len(whole), cut))
    for name, moments in found.estimates().items():
        expected = Moments.of(op.unthinned(getattr(op, name)(whole), whole.thinning))
        if name in ("snips", "sndr"):  # per-round functions of the thinned log, by their own formula
            w, t = whole.weight * whole.thinning, whole.thinning
            top = w @ whole.reward / w.sum()
            shift = (t @ whole.direct) / t.sum() + (w @ (whole.reward - whole.predicted)) / w.sum()
            assert moments.mean == pytest.approx(top if name == "snips" else shift, rel=1e-12)
        else:
            assert moments.mean == pytest.approx(expected.mean, rel=1e-12)
            assert moments.standard_error == pytest.approx(expected.standard_error, rel=2e-2)
    w = whole.weight * whole.thinning
    assert found.ess == pytest.approx(op.effective_sample_size(w), rel=1e-12)
    assert found.largest_share == pytest.approx(op.largest_share(w), rel=1e-12)


def test_standard_errors_are_those_of_the_linearisation():
    r = rounds()
    plain = Rounds(
        **{f: getattr(r, f) for f in ("reward", "propensity", "target", "predicted", "direct")},
        thinning=np.ones(len(r)),
    )
    for name, moments in Totals.of(plain).estimates().items():
        assert moments.standard_error == pytest.approx(Moments.of(getattr(op, name)(plain)).standard_error, rel=1e-6), (
            name
        )


def test_a_policy_the_log_never_met_is_zero_not_nan():
    r = rounds(10)
    none = Rounds(
        reward=r.reward,
        propensity=r.propensity,
        target=np.zeros(10),
        predicted=r.predicted,
        direct=r.direct,
        thinning=r.thinning,
    )
    found = Totals.of(none)
    assert (found.estimates()["snips"].mean, found.ess, found.largest_share) == (0.0, 0.0, 1.0)


def test_an_empty_stream_is_an_error():
    with pytest.raises(ValueError, match="found no rounds"):
        total([])


def test_weights_of_a_true_log_average_one():
    rng = np.random.default_rng(3)
    p = np.array([0.2, 0.8])
    chosen = rng.choice(2, 20_000, p=p)
    target = np.array([0.6, 0.4])[chosen]

    def log(propensity):
        zero = np.zeros(20_000)
        return Rounds(
            reward=zero, propensity=propensity, target=target, predicted=zero, direct=zero, thinning=np.ones(20_000)
        )

    assert abs(Totals.of(log(p[chosen])).weight_z()) < 3
    assert abs(Totals.of(log(np.array([0.25, 0.75])[chosen])).weight_z()) > 5
