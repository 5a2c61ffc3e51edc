"""Thompson sampling of prices: each draw's profits are read as a demand curve, which is made to fall with the price.

    a draw's profit   g_s(u, p)           the posterior of `lin_ts` on profits; u the request, p the price, c the cost
    as demand         d_s = g_s / (p − c)
    made falling      d̂_s                 non-increasing in p for each u and s (monotone.py), within [0, most]
    its vote          argmax_p (p − c) · d̂_s

So each price tells what dearer ones sell at most, and cheaper ones at least. Ganti, Sustik, Tran & Seaman 2018,
"Thompson sampling for dynamic pricing"; Misra, Schwartz & Abernethy 2019, "Dynamic online pricing with incomplete
information using multi-armed bandit experiments", for what the order of prices tells. Given the draws, the share of
votes is the probability of the choice. Profits are learnt, and not demand: a prior of equal profits is neutral, one of
equal demand sends the first guests to the dearest price.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import numpy as np

from croupier.features.batch import F64, Batch
from croupier.features.ids import hash64
from croupier.models.bayesian import thompson
from croupier.models.bayesian.arrays import host
from croupier.models.bayesian.heads import ArmHeads, SharedHead
from croupier.models.bayesian.linear import LinTS
from croupier.models.policy import Among
from croupier.models.pricing.amounts import Amount
from croupier.models.pricing.monotone import falling

AT_COST = 1e-6  # of a request's largest margin: below, a profit says nothing of demand
LOSS = 1e-9  # units: where a draw sells nothing at any price, one below cost is still the worse choice


class DemandTS(LinTS):
    """`price` and `margin` (amounts.py), `monotone` and `most` come of [pricing] in app.toml; without them it is
    `lin_ts`. All else is as there. `heads` "hybrid" (here the default) learns a profit for each price, and what all
    have in common; "per_arm" one for each price alone; "shared" one that is linear in the features."""

    name: ClassVar[str] = "demand_ts"

    def __init__(
        self,
        *,
        heads: str = "hybrid",
        price: Mapping[str, Any] | None = None,
        margin: Mapping[str, Any] | None = None,
        monotone: bool = True,
        most: float = 1.0,
        **parameters: Any,
    ) -> None:
        super().__init__(heads=heads, **parameters)
        if self.parameters["explore"] != "thompson":
            raise ValueError(f"explore: found {self.parameters['explore']!r}, expected 'thompson': draws vote")
        if (price is None) != (margin is None) or not most > 0:
            found = f"price {price}, margin {margin}, most {most}"
            raise ValueError(f"{self.name}: found {found}, expected price and margin or neither, and most above 0")
        amounts = {"price": price and dict(price), "margin": margin and dict(margin)}
        self.parameters |= amounts | {"monotone": monotone, "most": most}
        self._amounts = None if price is None or margin is None else (Amount.of(price), Amount.of(margin))

    def scored(self, batch: Batch) -> Among | None:
        """See models/policy.py: among fewer prices a demand curve is another one, so that each part is scored anew."""
        return super().scored(batch) if self._amounts is None else None

    def _pmf(self, batch: Batch) -> F64:
        if self._amounts is None:
            return super()._pmf(batch)
        profit = self.profits(replace(batch, price=None)) - batch.paid[:, :, None] * self.reward_sd
        return thompson.votes(np.where(batch.mask[:, :, None], profit, -np.inf))

    def profits(self, batch: Batch) -> F64:
        """(B, K, S): what each draw expects each candidate to earn of each request, in money; 0 where masked. Raises
        ValueError where nothing was learnt, or arms are no prices."""
        if self._amounts is None or self.sizes is None:
            raise ValueError(f"{self.name}: found no prices, or nothing learnt; expected both, for profits()")
        price, margin = (amount.of_candidates(batch) for amount in self._amounts)
        drawn = self.reward_mean + self.reward_sd * self._drawn(batch)
        demand = np.where(batch.mask[:, :, None], drawn, 0.0) / _divisor(margin, batch)[:, :, None]
        if self.parameters["monotone"]:
            demand = falling(demand, price, batch.mask)
        found: F64 = margin[:, :, None] * np.clip(demand, 0.0, self.parameters["most"])
        found += LOSS * np.minimum(margin, 0.0)[:, :, None]
        return np.where(batch.mask[:, :, None], found, 0.0)

    def _drawn(self, batch: Batch) -> F64:
        """(B, K, S): the posterior's draws, on the scale on which the head learns."""
        draws, phi = self.parameters["draws"], self.phi(batch)
        if isinstance(self.heads, SharedHead):
            weights = self.heads.drawn(seed=self.seed, draws=draws, device=self.device)
            scored: F64 = np.asarray(host(thompson.scores(batch, phi, weights)), np.float64)
            return scored
        if not isinstance(self.heads, ArmHeads):
            raise TypeError(f"{self.name}: found {type(self.heads).__name__}, expected a shared head or one an arm")
        mean, sd = self.heads.normals(batch, phi, device=self.device)
        rows, place = np.unique(batch.arm, return_inverse=True)
        own = np.stack([_normals(self.seed, batch.catalogue.ids[row], draws) for row in rows])
        drawn: F64 = mean[:, :, None] + sd[:, :, None] * own[place.reshape(batch.arm.shape)]
        return drawn


def _divisor(margin: F64, batch: Batch) -> F64:
    """(B, K): the margins, none of them 0. A price at cost has one so small that its demand weighs nothing."""
    largest = np.where(batch.mask, np.abs(margin), 0.0).max(axis=1, keepdims=True)
    least = np.where(largest > 0, AT_COST * largest, 1.0)
    return np.where(np.abs(margin) < least, least, margin)


@cache
def _normals(seed: int, arm: str, draws: int) -> F64:
    """(S,): an arm's standard normal draws, the same in every request and on every host."""
    return np.random.default_rng([seed, hash64("demand", arm)]).standard_normal(draws)
