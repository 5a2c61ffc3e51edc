"""Evidence that rewards are fewer, hour by hour, from counts themselves: for hours that have few of them.

Of the X + B rewards of an hour and of the same hours in the periods before it, X is binomial with p₀ = n/(n + n₀) where
nothing changed (n, n₀: decisions), and with p = ρ p₀/(ρ p₀ + 1 − p₀) where the rate is ρ times what it was. Their ratio
of likelihoods has mean 1 under "nothing changed", whatever the rate is (Przyborowski & Wilenski 1940, "Homogeneity of
results in testing samples from Poisson series"): no law of large numbers, and no estimate of the rate. Rewards that
come in clusters count as so many fewer: the logarithm is divided by the dispersion.
"""

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.season import View

RATIOS = np.array([0.85, 0.6, 0.3, 0.1, 0.02])  # ρ: falls that are looked for, as many as the detector's GRID
FEW = 5.0  # expected rewards an hour, below which counts say more than a bound for their sum


def is_counted(sums: F64) -> bool:
    """True if each reward in `sums` (T, ≥3: n, Σr, Σr²) is 0 or 1."""
    return bool(np.allclose(sums[:, 1], sums[:, 2], atol=1e-6))


def few(view: View, sums: F64) -> bool:
    """True if the baseline's hours have FEW rewards."""
    base = view.base(sums)
    return float(base[..., 1].mean()) < FEW


def fallen(view: View, sums: F64, spread: float) -> F64:
    """Returns (grid, R) log e of each recent hour, for a stream of rewards 0 and 1; `spread` is their dispersion."""
    base, now = view.base(sums)[:, : view.R].sum(axis=0), view.recent(sums)
    return log_e(now[:, 0], now[:, 1], base[:, 0], base[:, 1]) / max(spread, 1.0)


def log_e(n: F64, x: F64, n0: F64, b: F64) -> F64:
    """Returns (grid, R): x log(p/p₀) + b log((1 − p)/(1 − p₀)) for each ratio, of x rewards in n decisions beside b in
    n0, each (R,)."""
    p0, rho = n / np.maximum(n + n0, 1.0), RATIOS[:, None]
    return np.asarray(x * np.log(rho) - (x + b) * np.log1p(-(1 - rho) * p0))
