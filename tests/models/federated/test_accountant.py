"""ε by dp-accounting, where it is installed, beside the formula of the Gaussian mechanism."""

import numpy as np
import pytest

pytest.importorskip("dp_accounting", reason="the accountant is an extra: pip install 'croupier[privacy]'")

from croupier.models.federated import summed
from croupier.models.federated.accountant import stated
from croupier.models.federated.noise import Privacy, UnitLimits, epsilon, matrix
from tests.models.federated.sites import ROWS, policies

LINEAR = policies()["lin_ts"]


def test_the_library_says_what_the_formula_says():
    for noise, times, delta in ((3.730632, 1, 1e-5), (4.0, 1, 1e-6), (10.0, 8, 1e-6), (1.0, 1, 1e-6), (30.0, 52, 1e-8)):
        found, by = stated(noise, delta, times=times)
        assert found == pytest.approx(epsilon(noise, delta, times=times), abs=1e-6), (noise, times)
        assert found >= epsilon(noise, delta, times=times) - 1e-12  # it rounds up
        assert by.startswith("dp-accounting 0.6")


def test_the_stated_epsilon_is_the_accountants_and_no_more_than_was_asked_for():
    limits = UnitLimits(length=2.0, low=0.0, high=1.0, rows=3)
    for asked, times in ((1.0, 1), (4.0, 12)):
        rng = np.random.default_rng(8)
        moments, privacy = summed.private(LINEAR, ROWS["graz"], limits, epsilon=asked, delta=1e-6, times=times, rng=rng)
        assert asked - 1e-4 < privacy.epsilon <= asked
        assert privacy.epsilon == stated(privacy.multiplier, 1e-6, times=times)[0]
        assert privacy.sensitivity == limits.sensitivity(summed.largest(LINEAR, limits))
        assert Privacy.from_json(privacy.to_json()) == privacy
        exact = summed.limited(LINEAR, ROWS["graz"], limits)
        gaps = (matrix(moments) - matrix(exact))[np.triu_indices(len(exact.b) + 1)]
        assert np.sqrt((gaps**2).mean()) == pytest.approx(privacy.sd, rel=4 / np.sqrt(2 * len(gaps)))
        again, _ = summed.private(
            LINEAR, ROWS["graz"], limits, epsilon=asked, delta=1e-6, times=times, rng=np.random.default_rng()
        )
        assert (matrix(again) != matrix(moments)).any()
