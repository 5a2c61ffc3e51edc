"""A policy whose scores are reduced by multipliers, and the best fixed multipliers in hindsight.

The constraints: spend of a day; at least a share of impressions for category 1; and parity: category 2 is shown to both
groups alike, within a tolerance, which is two constraints, one a side. The policy draws from
(1 − ε) softmax(priced scores / τ) + ε / K, which among all policies of this form with multipliers λ makes

    D(λ) = mean τ log Σ exp(priced / τ) + Σ λ_c limit_c

smooth and convex, with the gradient limit − usage. Where it is least all constraints hold, and no policy that satisfies
them has a larger mean score plus τ times its entropy (Lagrangian duality): these are the best fixed multipliers.
"""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from croupier.features.batch import F64, I64
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.exploration import with_floor
from croupier.models.simulation.pacing_world import CATEGORY, COSTS, GROUP_1

EXPLORED, TEMPERATURE = 0.03, 0.02
FLOOR, TOLERANCE = 0.25, 0.02  # of impressions; between the groups' shares
CONSTRAINTS = ("spend", "floor", "parity_more", "parity_less")
MOST = 1.0  # a price: the reward of a sale


def usage(group: I64) -> dict[str, F64]:
    """What each arm uses of each constraint: (K,), of parity (n, K) for requests of `group` (n,)."""
    more = (group / GROUP_1 - (1 - group) / (1 - GROUP_1))[:, None] * (CATEGORY == 2)
    return {"spend": COSTS, "floor": -1.0 * (CATEGORY == 1), "parity_more": more, "parity_less": -more}


def limits(per_request: float) -> dict[str, float]:
    """The most mean usage of each constraint, of `per_request` to spend."""
    return {"spend": per_request, "floor": -FLOOR, "parity_more": TOLERANCE, "parity_less": TOLERANCE}


def pmf(scores: F64, used: Mapping[str, F64], multipliers: Multipliers) -> F64:
    """(n, K) what is drawn from: exact, so it is what would be logged."""
    priced = multipliers.priced(scores, used)
    return with_floor(softmax(priced / TEMPERATURE, axis=1), np.ones(priced.shape, dtype=bool), EXPLORED)


def best_fixed(
    scores: F64, group: I64, limit: Mapping[str, float], *, start: Mapping[str, float] | None = None
) -> Multipliers:
    """The best fixed multipliers of the constraints in `limit` over requests `scores` (T, K), `group` (T,); the search
    begins at the prices `start`."""
    used = {name: u for name, u in usage(group).items() if name in limit}
    tables = np.stack([np.broadcast_to(used[name], scores.shape) for name in used])  # (C, T, K)
    aims = np.array([limit[name] for name in used]) - EXPLORED * tables.mean(axis=2).mean(axis=1)

    def dual(prices: F64) -> tuple[float, F64]:
        priced = (scores - np.tensordot(prices, tables, 1)) / TEMPERATURE
        mean_usage = np.einsum("ctk,tk->c", tables, softmax(priced, axis=1)) / len(scores)
        value = TEMPERATURE * logsumexp(priced, axis=1).mean() + prices @ aims / (1 - EXPLORED)
        return value, aims / (1 - EXPLORED) - mean_usage

    begun, box = np.array([(start or {}).get(name, 0.01) for name in used]), [(0.0, MOST)] * len(used)
    found = minimize(dual, begun, jac=True, method="L-BFGS-B", bounds=box, options={"ftol": 1e-14, "gtol": 1e-7})
    return Multipliers(version=0, prices=dict(zip(used, found.x.tolist(), strict=True)))


def of_fixed(scores: F64, means: F64, group: I64, multipliers: Multipliers) -> tuple[float, dict[str, float]]:
    """(mean reward, mean usage of each constraint) of fixed multipliers over all requests, in expectation."""
    every = usage(group)
    drawn_from = pmf(scores, {name: every[name] for name in multipliers.prices}, multipliers)
    return float((drawn_from * means).sum(axis=1).mean()), {
        name: float((drawn_from * u).sum(axis=1).mean()) for name, u in every.items()
    }
