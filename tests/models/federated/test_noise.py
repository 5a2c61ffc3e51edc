"""Noise on a site's sums: what a unit can change at most, how much is drawn, what it is worth, what is left of A."""

import numpy as np
import pytest

from croupier.models.bayesian.posterior import Posterior, Prior, RidgeMoments
from croupier.models.federated import summed
from croupier.models.federated.noise import Privacy, UnitLimits, epsilon, matrix, multiplier, noisy, repaired, spent
from croupier.models.federated.pooled import pooled
from tests.models.federated.sites import ROWS, policies, profile_of, site

LINEAR = policies()["lin_ts"]
LIMITS = UnitLimits(length=1.5, low=0.0, high=1.0, rows=2)


def distance(one, other):
    """L2 between all that is told of two logs: the upper triangle of Σvvᵀ, and n."""
    upper = np.triu_indices(len(one.b) + 1)
    return np.hypot(np.linalg.norm((matrix(one) - matrix(other))[upper]), one.n - other.n)


def test_no_unit_changes_the_sums_by_more_than_the_sensitivity():
    """Every unit of a log left out in turn; the limits hold whatever its rows are."""
    (log,) = ROWS["wien"]
    high = float(np.abs(LINEAR.standardise(np.array([0.0, 1.0]))).max())
    assert summed.largest(LINEAR, LIMITS) == high
    assert LIMITS.sensitivity(high) == pytest.approx(2 * np.sqrt((1.5**2 + high**2) ** 2 + 1))
    units = np.arange(len(log)) % 40  # 17 rows each, and more
    log = type(log)(**{**log.__dict__, "unit": units.astype(np.uint64), "reward": log.reward * 5 - 2})
    whole = summed.limited(LINEAR, [log[:300], log[300:]], LIMITS)
    assert whole.n == 80  # two rows a unit, the earliest, whatever chunk they are in
    most = max(distance(whole, summed.limited(LINEAR, [log[units != unit]], LIMITS)) for unit in range(40))
    assert 0.4 * LIMITS.sensitivity(high) < most <= LIMITS.sensitivity(high)
    one = RidgeMoments.of(np.array([[1.5, 0.0]]), np.array([high]))  # a row at its limits: tight but for the mirror
    tight = UnitLimits(length=1.5, low=0.0, high=1.0).sensitivity(high)
    assert np.hypot(np.linalg.norm(matrix(one)), 1.0) == pytest.approx(tight)


def test_rows_that_count_more_than_once_are_refused():
    (log,) = ROWS["wien"]
    thinned = type(log)(**{**log.__dict__, "weight": np.full(len(log), 2.0)})
    with pytest.raises(ValueError, match="expected rows that count once each"):
        summed.limited(LINEAR, [thinned], LIMITS)


def test_features_are_shortened_and_never_stretched():
    phi = summed.shortened(np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]), 2.5)
    assert phi == pytest.approx(np.array([[1.5, 2.0], [0.3, 0.4], [0.0, 0.0]]))


def test_every_sum_has_noise_of_the_stated_size_and_a_stays_symmetric():
    moments = site(LINEAR, "graz").moments
    rng, upper = np.random.default_rng(3), np.triu_indices(len(moments.b) + 1)
    drawn = [noisy(moments, 2.5, rng) for _ in range(400)]
    gaps = np.array([np.append((matrix(m) - matrix(moments))[upper], m.n - moments.n) for m in drawn])
    assert all((m.A == m.A.T).all() for m in drawn)
    # an estimate of a standard deviation by 400 draws is within 4.5/√800 of it, each of some 50 sums
    assert np.abs(gaps.std(axis=0) / 2.5 - 1).max() < 4.5 / np.sqrt(800)
    assert np.abs(gaps.mean(axis=0)).max() < 4.5 * 2.5 / np.sqrt(400)
    assert np.abs(np.corrcoef(gaps.T) - np.eye(gaps.shape[1])).max() < 0.25


def test_repaired_sums_are_some_that_rows_can_have_and_the_nearest():
    rng = np.random.default_rng(4)
    moments = noisy(site(LINEAR, "linz").moments, 30.0, rng)
    assert np.linalg.eigvalsh(moments.A).min() < -10
    found = repaired(moments, 0.0)
    values = np.linalg.eigvalsh(matrix(found))
    assert values.min() > -1e-9
    assert np.linalg.norm(matrix(found) - matrix(moments)) == pytest.approx(
        np.linalg.norm(np.minimum(np.linalg.eigvalsh(matrix(moments)), 0.0))
    )
    true = site(LINEAR, "linz").moments
    assert np.abs(matrix(repaired(true, 0.0)) - matrix(true)).max() < 1e-9
    assert repaired(RidgeMoments(A=np.eye(2), b=np.zeros(2), rr=1.0, n=-3.0), 1.0).n == 0


def test_a_direction_that_no_row_has_is_not_made_up_of_noise():
    """φ of 40 entries of which 20 are always 0. The head of noisy sums has weights there of the size of 1/√d at most,
    where those of the projection alone are anything; where rows are, it is that of exact sums."""
    rng, d, sd = np.random.default_rng(12), 40, 5.0
    phi = np.zeros((20_000, d))
    phi[:, :20] = rng.normal(size=(20_000, 20))
    weights = np.append(rng.normal(size=20), np.zeros(20)) / 5  # about of length 1
    true = RidgeMoments.of(phi, phi @ weights + rng.normal(size=20_000))
    prior = Prior()
    plain, ridged = (
        [Posterior(prior=prior, moments=repaired(noisy(true, sd, rng), size)).mean for _ in range(20)]
        for size in (0.0, sd)
    )
    assert np.abs(np.array(plain)[:, 20:]).max() > 1.0
    assert np.abs(np.array(ridged)[:, 20:]).max() < 4 / np.sqrt(d)
    exact = Posterior(prior=prior, moments=true).mean
    assert np.abs(np.array(ridged)[:, :20] - exact[:20]).max() < 0.02
    largest = [np.linalg.eigvalsh(noisy(RidgeMoments.zeros(d), sd, rng).A).max() for _ in range(20)]
    assert np.mean(largest) == pytest.approx(2 * sd * np.sqrt(d), rel=0.1)


def test_epsilon_is_that_of_the_literature():
    """Balle & Wang 2018: sensitivity 1, ε = 1 and δ = 1e-5 need σ = 3.7306, where the classical √(2 ln(1.25/δ)) says
    4.8448; and δ at that ε is the formula's own."""
    assert multiplier(1.0, 1e-5) == pytest.approx(3.730632, abs=1e-5)
    assert epsilon(3.730632, 1e-5) == pytest.approx(1.0, abs=1e-6)
    for z, delta, times in ((0.7, 1e-6, 1), (5.0, 1e-7, 30), (40.0, 1e-9, 365)):
        found = epsilon(z, delta, times=times)
        assert spent(found, np.sqrt(times) / z) == pytest.approx(delta, rel=1e-6)
        assert multiplier(found, delta, times=times) == pytest.approx(z, rel=1e-6)
    assert epsilon(8.0, 1e-6, times=4) == pytest.approx(epsilon(4.0, 1e-6), rel=1e-9)
    assert epsilon(1e4, 1e-3) == 0.0
    with pytest.raises(ValueError, match="whose ε is above 100; add more"):
        epsilon(0.05, 1e-6)
    for asked, delta, times in ((0.0, 1e-6, 1), (float("nan"), 1e-6, 1), (1.0, 0.0, 1), (1.0, 1e-6, 0)):
        with pytest.raises(ValueError, match="privacy: found ε"):
            multiplier(asked, delta, times=times)
    for wrong in ({"length": 0.0}, {"low": 1.0}, {"rows": 0}, {"high": float("inf")}):
        with pytest.raises(ValueError, match="limits: found"):
            UnitLimits(**({"length": 1.0, "low": 0.0, "high": 1.0} | wrong))


def told(**change):
    limits = UnitLimits(length=1.5, low=0.0, high=1.0)
    facts = {
        "limits": limits, "sensitivity": limits.sensitivity(summed.largest(LINEAR, limits)), "multiplier": 5.0, "times": 2,
        "delta": 1e-6, "epsilon": epsilon(5.0, 1e-6, times=2), "accountant": "the formula",
    }  # fmt: skip
    return Privacy(**(facts | change))


def test_what_is_stated_must_be_what_the_noise_is_worth():
    assert Privacy.from_json(told().to_json()) == told()
    assert told().sd == 5.0 * told().sensitivity
    for wrong in ({"epsilon": 0.1}, {"epsilon": float("nan")}, {"multiplier": 1.0}, {"times": 30}):
        with pytest.raises(ValueError, match=r"privacy: found ε = \S+ stated, expected"):
            Privacy.from_json(told(**wrong).to_json())
    graz = site(LINEAR, "graz", privacy=told(sensitivity=0.5))
    with pytest.raises(ValueError, match=r"site graz: found a sensitivity of 0\.5, expected"):
        pooled(LINEAR, profile_of(LINEAR), [graz])
    other = site(LINEAR, "linz", privacy=told(limits=UnitLimits(length=1.0, low=0.0, high=1.0)))
    with pytest.raises(ValueError, match=r"sites: found limits .* expected the same length and range of all"):
        pooled(LINEAR, profile_of(LINEAR), [site(LINEAR, "graz", privacy=told()), other])


def test_a_head_of_noisy_sums_serves_and_has_a_positive_noise_variance():
    limits, rng = UnitLimits(length=3.0, low=0.0, high=1.0), np.random.default_rng(6)
    files = [site(LINEAR, name, privacy=told(limits=limits, sensitivity=20.0)) for name in ROWS]
    files = [type(f)(**{**f.__dict__, "moments": noisy(f.moments, 250.0, rng)}) for f in files]
    assert np.linalg.eigvalsh(sum(f.moments.A for f in files)).min() < -50
    head = pooled(LINEAR, profile_of(LINEAR), files).head
    assert np.linalg.eigvalsh(head.moments.A).min() > -1e-9
    assert np.isfinite(head.mean).all()
    a, b = head.noise
    assert min(a, b) > 6
