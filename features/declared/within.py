"""Values cut to the range that is declared for them, so that one of 10⁶ does not outweigh all others in a mean.

What is no number (∞ − ∞ of several rewards) is the low end, as for the fast loop: left as it is, it would make every
mean that it enters no number either, and a comparison with no number is never true: no harm would ever be shown.
"""

import numpy as np
import polars as pl

from croupier.features.batch import F64

Ends = tuple[float, float]


def within(values: F64, ends: Ends) -> F64:
    """Returns the values (n,) cut to `ends`, both included; NaN is the low end."""
    low, high = ends
    return np.asarray(np.fmin(np.fmax(values, low), high))


def within_column(column: str, ends: Ends) -> pl.Expr:
    """Returns the same of a column of floats."""
    return pl.col(column).fill_nan(ends[0]).clip(*ends)
