"""Whether constraints can be kept together by any shares of decisions: a linear programme over the arms.

Σ p = 1, p ≥ 0, and floor ≤ Σ_{its arms} p ≤ cap of each exposure; of a limit, which holds in every decision and so in
the mean, the cap alone: its floor is of the decisions that list its arms. What depends on requests can only leave less.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from croupier.features.declared.constraint import ConstraintSpec

Shares = Mapping[str, tuple[Sequence[str], ConstraintSpec]]  # by name: the arms that are meant, and what of them


def contradiction(shares: Shares, arms: Sequence[str]) -> list[str]:
    """The names of a few constraints that no shares of these arms keep together, none of which could be left out; empty
    where all can be kept."""
    names = list(shares)
    if not names or _possible(shares, names, arms):
        return []
    for name in list(names):
        if not _possible(shares, rest := [each for each in names if each != name], arms):
            names = rest
    return names


def _possible(shares: Shares, names: Sequence[str], arms: Sequence[str]) -> bool:
    rows, most = [], []
    for name in names:
        mine, one = shares[name]
        parts = [[arm] for arm in mine] if one.kind == "limit" and one.arms else [mine]
        for part in parts:
            inside = np.isin(arms, part).astype(np.float64)
            rows += [inside, -inside]
            most += [one.cap, -one.floor if one.kind == "exposure" else 0.0]
    if not rows:
        return True
    from scipy.optimize import linprog  # takes 0.3 s, which every task and command would pay

    found = linprog(
        np.zeros(len(arms)), A_ub=np.array(rows), b_ub=most, A_eq=np.ones((1, len(arms))), b_eq=[1.0], bounds=(0, 1)
    )
    return bool(found.status != 2)  # 2: infeasible
