"""Residuals of an hour's level: of variance 1 in full and in thin hours alike."""

import numpy as np
import pytest

from croupier.models.health.history import History
from croupier.models.health.residuals import of_level
from croupier.models.health.season import View
from tests.models.health.plain_hours import hours


@pytest.mark.medium
def test_a_thin_hour_is_no_louder_than_a_full_one():
    """Means of 100 values by day, of 4 by night, of variance 1 each; a night's mean is five times as wide."""
    view = View.of(History.of(hours(22, 7, n=30)))
    T, rng = len(view.history), np.random.default_rng(1)
    behind = np.where(np.arange(T) % 24 < 6, 4.0, 100.0)
    night = view.recent(behind) < 100
    widths = []
    for _ in range(40):
        z, _, _ = of_level(view, rng.normal(size=T) / np.sqrt(behind), behind)
        widths.append((z[night].std(), z[~night].std()))
    assert np.mean(widths, axis=0) == pytest.approx([1.0, 1.0], abs=0.25)
    z, _, _ = of_level(view, np.where(behind > 0, 0.0, np.nan) + 0.01 * rng.normal(size=T), behind, least=0.5)
    assert np.abs(z).max() < 0.1, "no deviation below the least is believed"
