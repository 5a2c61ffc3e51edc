"""What may be expected of hours whose arms differ: decisions, counted by what the arms on offer then usually earn.

Arms come and go, and no two of them are liked alike: an hour is held against past ones as if those had had its arms. An
arm a is worth ρ_a times what all earn at that hour of the week, and is chosen in proportion to its strength v_a among
those on offer (Luce 1959, Individual choice behavior). With o_a rows of an hour that offer it, each decision counts

    q = Σ_a o_a v_a ρ_a / Σ_a o_a v_a

usual ones: indirect standardisation, as of mortality by age (Inskip, Beral, Fraser & Haskey 1983, "Methods for
age-adjustment of rates"). ρ and v are of the baseline alone: what a policy chooses now does not excuse what it earns.
"""

from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.season import View, overall

ROUNDS = 8  # of the two fixed points; the third changes the third digit


@dataclass(frozen=True, eq=False)
class Exposure:
    """q (T,), for how many usual decisions one of an hour counts: by the arms on `offer`, and by those that were
    `shown`. `rate` (A,): what each arm earns beside all of them at the same hours."""

    offer: F64
    shown: F64
    rate: F64


def exposure(view: View, offered: F64, n: F64, s: F64, *, prior: F64, worth: float) -> Exposure:
    """`offered`, `n`, `s` (T, A): rows that offered each arm, that showed it, and their rewards within [0, 1]. `prior`
    (A,): the rate that an arm is shrunk to, as if `worth` rewards had followed it."""
    total, won = n.sum(axis=1), s.sum(axis=1)
    behind = view.m * view.P
    strength = _strengths(offered[:behind], n[:behind])
    usual, shown = _shares(offered * strength), _shares(n)
    usual = np.where(usual.any(axis=1)[:, None], usual, shown)
    q, rate = np.ones(len(total)), prior
    for _ in range(ROUNDS):
        course = overall(view.base(total * q), view.base(won))
        due = n[:behind].T @ np.tile(course, view.m)
        rate = (s[:behind].sum(axis=0) + worth * prior) / np.maximum(due + worth, 1e-12)
        q = usual @ rate
    return Exposure(q, shown @ rate, rate)


def _strengths(offered: F64, n: F64) -> F64:
    """Returns (A,) v, so that Σ_t n_a = Σ_t n o_a v_a / Σ_b o_b v_b for each arm."""
    total, chosen = n.sum(axis=1), n.sum(axis=0)
    v = np.ones(len(chosen))
    for _ in range(ROUNDS):
        asked = np.maximum(offered @ v, 1e-12)
        v = chosen / np.maximum(offered.T @ (total / asked), 1e-12)
        v = v / max(float(v.mean()), 1e-12)
    return v


def _shares(x: F64) -> F64:
    """Returns (T, A) each row as shares of its sum; zeros where there is nothing."""
    return np.asarray(x / np.maximum(x.sum(axis=1, keepdims=True), 1e-12))
