"""Random allocation requests, degenerate ones among them."""

from fractions import Fraction

import numpy as np

from croupier.models.allocation.coverage import Coverage

DECIMALS = (0, 0, 1, 3, 12)


def request(rng, *, most=6, draws=3):
    """Costs (n, m), a total, gains (draws, n, m) and a coverage. Totals are often the least that there may be; costs are
    often zero, equal, or no whole numbers."""
    n, m, S = (*(int(rng.integers(1, high + 1)) for high in (most, 4)), draws)
    cost = np.round(rng.random((n, m)) * 8, DECIMALS[rng.integers(len(DECIMALS))])
    kind = rng.integers(5)
    if kind == 0:
        cost[:] = cost[0, 0]
    elif kind == 1:
        cost[rng.random((n, m)) < 0.5] = 0.0
    elif kind == 2:
        cost[:] = cost[0]
    least = sum(Fraction(repr(float(each))) for each in cost.min(axis=1))
    total = float(least) + float(rng.choice([0.0, rng.random() * 3, rng.random() * 8 * n]))
    if Fraction(repr(total)) < least:
        total = float(np.nextafter(total, np.inf))
    gain = rng.normal(size=(S, n, m)).round(int(rng.choice([0, 1, 9])))  # rounded ones tie
    cover = Coverage(region=rng.integers(0, 3, n), covers=rng.random(m) < 0.5, bonus=float(rng.choice([0, 0.5, 2])))
    return cost, total, gain, cover


def within(cost, total, chosen):
    """True if the costs add up to the total at most, as the decimals that they are written as."""
    spent = sum(Fraction(repr(float(cost[i, j]))) for i, j in enumerate(chosen))
    return spent <= Fraction(repr(float(total)))
