"""The corrected bound: its inverse, its direction, and its error on skewed means, beside the plain one's."""

import numpy as np
import pytest

from croupier.models.gate.bounds import skewness
from croupier.models.gate.bounds.skewness import KEPT, MOST, corrected
from croupier.models.ope.estimators import Moments


def test_the_inverse_undoes_the_transformation():
    n, skew, z = 400.0, -4.0, 1.7
    s = corrected(n, skew, z, lowered=True) / np.sqrt(n)
    back = np.sqrt(n) * (s + skew * s**2 / 3 + skew**2 * s**3 / 27 + skew / (6 * n))
    assert back == pytest.approx(z, rel=1e-9)
    s = corrected(n, 2.0, z, lowered=True) / np.sqrt(n)
    g = KEPT * 2.0
    assert np.sqrt(n) * (s + g * s**2 / 3 + g**2 * s**3 / 27 + g / (6 * n)) == pytest.approx(z, rel=1e-9)


def test_skewness_lowers_the_bar_at_the_last_look_alone_and_raises_it_always():
    assert corrected(1000, 5.0, 1.8, lowered=False) == 1.8
    assert corrected(1000, 5.0, 1.8, lowered=True) < 1.8
    assert corrected(1000, 500.0, 1.8, lowered=True) == pytest.approx(1.8 - MOST)
    assert corrected(1000, -5.0, 1.8, lowered=False) == corrected(1000, -5.0, 1.8, lowered=True) > 1.8
    assert corrected(1000, 0.0, 1.8, lowered=True) == pytest.approx(1.8)


def test_the_upper_end_mirrors_the_lower():
    moments = Moments(1000, 0.3, 500.0)
    low = skewness.lower(Moments(1000, -0.3, 500.0), -2.0, 2.0, lowered=True)
    assert skewness.upper(moments, 2.0, 2.0, lowered=True) == -low
    assert skewness.lower(Moments(1000, 0.0, 0.0), 0.0, 2.0, lowered=True) == -np.inf, "no spread proves nothing"


@pytest.mark.medium
def test_where_the_sign_is_turned_the_error_is_kept():
    """Means of 60 values, each −1 in one of ten rows: a plain normal bound errs too often, the corrected one does not."""
    rng = np.random.default_rng(0)
    plain = held = 0
    for _ in range(3000):
        x = 0.1 - (rng.random(60) < 0.1)
        if not x.std():
            continue
        moments = Moments.of(x)
        third = float(((x - x.mean()) ** 3).mean())
        skew = third / moments.variance**1.5
        plain += moments.mean > 1.645 * moments.standard_error
        held += skewness.lower(moments, skew, 1.645, lowered=True) > 0.0
    assert plain / 3000 > 0.10
    assert held / 3000 < 0.75 * plain / 3000
