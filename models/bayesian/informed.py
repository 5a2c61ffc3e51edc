"""What a policy with a head for each arm believes of an arm it has never seen: what it knows of arms like it.

    M_new = n₀ · Σ_j w_j M_j / Σ_j w_j n_j,   w_j = exp(−½ |x_new − x_j|² / s²)

M_j are the moments of a known arm's head over n_j rows, x its features, s² the mean squared distance of the known arms
from their mean. So the new head begins as if it had seen n₀ rows, mostly of like arms: a power prior (Ibrahim & Chen
2000, "Power prior distributions for regression models", eq. 2). Without features all arms are alike, and the prior is
that of the mean arm. Policies whose arms share one head need none of this: they know a new arm by its features.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, cast

import numpy as np

from croupier.features.batch import F64, Catalogue
from croupier.models.policy import Policy

if TYPE_CHECKING:
    from croupier.models.bayesian.base import Bayesian
    from croupier.models.bayesian.heads import ArmHeads
    from croupier.models.bayesian.posterior import Posterior

ROWS = 20.0  # n₀: little beside `[arms] new_until`, so what the arm itself shows soon counts for more


def informed(policy: Policy, catalogue: Catalogue, arms: Collection[str]) -> Policy:
    """The policy with heads for those of these `arms` that it has never seen; the very same where it needs none."""
    if getattr(policy, "parameters", {}).get("heads") != "per_arm" or getattr(policy, "sizes", None) is None:
        return policy
    bayesian = cast("Bayesian", policy)
    heads = cast("ArmHeads", bayesian.heads)
    known = [arm for arm, head in heads.arms.items() if arm in catalogue.row and head.moments.n > 0]
    new = [arm for arm in arms if arm in catalogue.row and arm not in heads.arms]
    if not new or not known:
        return policy
    grown = {arm: _informed(heads, known, weights(catalogue, arm, known)) for arm in new}
    return cast("Policy", bayesian.with_heads(replace(heads, arms={**heads.arms, **grown})))


def weights(catalogue: Catalogue, arm: str, known: Sequence[str]) -> F64:
    """Returns (n,) w_j: how like each known arm is to this one, from 0 to 1."""
    x = catalogue.features.astype(np.float64)
    there = x[[catalogue.row[each] for each in known]]
    spread = float(((there - there.mean(axis=0)) ** 2).sum(axis=1).mean())
    distance = ((there - x[catalogue.row[arm]]) ** 2).sum(axis=1)
    nearest = distance - distance.min()  # the same ratios, and never all 0
    return np.asarray(np.exp(-0.5 * nearest / spread) if spread > 0 else np.ones(len(known)))


def _informed(heads: "ArmHeads", known: Sequence[str], w: F64) -> "Posterior":
    total = reduce(add, (heads.arms[arm].moments * float(k) for arm, k in zip(known, w, strict=True)))
    return replace(heads.arms[known[0]], moments=total * (ROWS / total.n), step=0)
