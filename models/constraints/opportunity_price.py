"""The prices of equal opportunity: what shows arms alike, among those whom they suit, to all groups.

At each look the policy decides the latest requests anew, each by how well the arms suit it (suiting.py), at other
prices. Of one group after the other the price is found at which its share comes within its part of the tolerance around
the share of all groups, those of the others being what they are: a pass of coordinate descent on the dual (Tseng 2001,
"Convergence of a block coordinate descent method"), and the next look goes on. So a look learns from all decisions that
it reads, and no step size is to be tuned to how much a price changes.

What is known of shares is noisy, so a price aims inside the tolerance by one standard error, at most by the whole
tolerance: then groups are shown the arms alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from croupier.features.batch import F64

LEAST = 20  # rewarded decisions, of a group and of the others, from which on a price moves
HALVINGS = 6  # of a move: to 1/64 of the largest
SAME = 1e-12  # of a share: what differs by less does not


@dataclass(frozen=True, kw_only=True, eq=False)
class SuitedRequests:
    """Requests by group: `weights` (R, n_g) says how well the arms suit each, first as it was estimated, then as it
    might have been; `rewarded` how many decisions of each group rewarded the arms; `shown(g, price)` (n_g,) the
    probability that the arms would have in the requests of group g at its price, which comes off their scores.

    Raises ValueError for fewer than two groups, and for weights that are not finite numbers above 0."""

    weights: Sequence[F64]
    rewarded: Sequence[int]
    shown: Callable[[int, float], F64]

    def __post_init__(self) -> None:
        if len(self.weights) < 2 or len(self.rewarded) != len(self.weights):
            n = len(self.weights), len(self.rewarded)
            raise ValueError(f"weights: found those of {n[0]} groups, and counts of {n[1]}, expected two or more")
        for g, each in enumerate(self.weights):
            if not np.isfinite(each).all() or (each <= 0).any():
                raise ValueError(f"weights of group {g}: found {each.min():g} or no number, expected numbers above 0")

    def size(self, group: int) -> float:
        """The sum of a group's weights."""
        return float(self.weights[group][0].sum())

    def share(self, group: int, price: float) -> tuple[float, float]:
        """The share of a group's requests, by weight, that would be shown the arms, and the variance of that: of the
        requests that there are (of a ratio of sums: Cochran 1977, "Sampling techniques", 2.46), and of the weights. 0
        and 0 of a group without any."""
        weight = self.weights[group]
        if not weight.shape[1]:
            return 0.0, 0.0
        shown = self.shown(group, price)
        means = weight @ shown / weight.sum(axis=1)
        of_requests = ((weight[0] * (shown - means[0])) ** 2).sum() / weight[0].sum() ** 2
        return float(means[0]), float(of_requests + np.mean((means - means[0]) ** 2))


def looked(requests: SuitedRequests, prices: F64, *, tolerance: float, largest_move: float, most: float) -> F64:
    """The prices (G,) after a look, in units of reward, at most `most` on either side of 0, each moved by at most
    `largest_move`. `tolerance`: between any two groups' shares, so that each has half of it around that of all.

    A price moves where of its group, and of the others together, LEAST decisions rewarded the arms. What all groups pay
    alike would move none against another, so the prices that move sum to 0 over those whom the arms suit."""
    size = np.array([requests.size(g) for g in range(len(requests.weights))])
    part, n = size / max(size.sum(), np.finfo(float).tiny), np.array(requests.rewarded)
    found = prices.astype(np.float64)  # a copy
    known = np.flatnonzero((n >= LEAST) & (n.sum() - n >= LEAST) & (size > 0))
    for g in known.tolist():
        others = [(part[h], *requests.share(h, found[h])) for h in range(len(n)) if h != g]
        rest = float(sum(p * share for p, share, _ in others))
        noise = (1 - part[g]) ** 2 * requests.share(g, found[g])[1] + sum(p**2 * v for p, _, v in others)
        within = max(tolerance / 2 - float(np.sqrt(noise)), 0.0)
        gap = partial(_above, requests, g, float(1 - part[g]), rest)
        found[g] = _moved(gap, float(found[g]), within=within, step=largest_move, most=most)
    if len(known):
        found[known] -= np.average(found[known], weights=part[known])
    return np.asarray(np.clip(np.clip(found, prices - largest_move, prices + largest_move), -most, most))


def _above(requests: SuitedRequests, group: int, others: float, rest: float, price: float) -> float:
    """A group's share above that of all, which `others` are of all and have `rest` of it."""
    return others * requests.share(group, price)[0] - rest


def _moved(gap: Callable[[float], float], price: float, *, within: float, step: float, most: float) -> float:
    """The price nearest to 0 at which |gap| is at most `within`, as far as one step goes towards it. `gap(price)`, of a
    group's share above that of all, falls with the price."""
    now = gap(price)
    if abs(now) > within:
        aim, end = float(np.copysign(within, now)), price + float(np.copysign(step, now))
    elif price:
        aim, end = float(np.copysign(within, price)), price - float(np.copysign(min(step, abs(price)), price))
    else:
        return price
    end = min(max(end, -most), most)
    if abs(gap(end) - now) <= SAME and abs(gap(most) - gap(-most)) <= SAME:
        return price  # of a policy without scores
    if (gap(end) > aim) == (now > aim):
        return end
    before, beyond = price, end
    for _ in range(HALVINGS):
        middle = (before + beyond) / 2
        before, beyond = (middle, beyond) if (gap(middle) > aim) == (now > aim) else (before, middle)
    return beyond if abs(now) > within else before
