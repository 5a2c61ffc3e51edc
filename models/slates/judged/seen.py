"""A log of slates as a policy sees it: Q̂ of every slot, and what the pmfs foretell of the weights."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from croupier.features.batch import F32, F64, Floats, Interactions
from croupier.models.gate.bounds.steadied import powers
from croupier.models.ope.reward_model import cross_fit
from croupier.models.ope.rounds import rounds_of
from croupier.models.slates.estimators import SlateRounds
from croupier.models.slates.from_log import LoggedSlates, slates_of

LEAST = 30  # slates with a slot before its Q̂ is fitted; any Q̂ leaves cascade-DR unbiased


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedSlates:
    """`log`: n rows, all of them slots of `slates`; `predicted` (n, K): Q̂, what is earned from a slot on."""

    log: Interactions
    slates: LoggedSlates
    predicted: Floats

    @classmethod
    def of(cls, log: Interactions, *, seed: int) -> Self:
        """From a log that has slates, of rows that are slots of whole ones alone (`LoggedSlates.kept`)."""
        assert log.slate is not None
        slates = LoggedSlates.of(log.slate, log.weight)
        return cls(log=log, slates=slates, predicted=_fitted(log, slates, seed=seed))

    @cached_property
    def to_go(self) -> Interactions:
        """The rows with what their slates earned from them on, which Q̂ predicts."""
        return to_go(self.log, self.slates)

    @cached_property
    def rounds(self) -> Interactions:
        """(m): each slate as its first slot, with the reward of the whole slate."""
        return self.to_go[self.slates.first]

    def seen(self, pmf: F64) -> SlateRounds:
        """As the policy of this pmf (n, K) sees the slates."""
        return slates_of(rounds_of(self.log, pmf, self.predicted), self.slates)

    def foretold(self, candidate: F64, champion: F64 | None = None) -> F64:
        """Returns (m, 3): E[Δw²], E[Δw⁴], E[Δw³] of the weights down to a slot, given what is shown above it, whatever
        arm it shows; of the slot where E[Δw²] is the most. Those of whole slates, of which these are means, are no
        less; what other slots above would have led to is in no log. pmfs (n, K); champion None: of one policy alone."""
        found, most = np.zeros((len(self.slates), 3)), np.zeros((len(self.slates), 3))
        new = _above(self.log, self.slates, candidate)
        old = np.zeros_like(new) if champion is None else _above(self.log, self.slates, champion)
        drawable = np.where(self.log.batch.mask, self.log.pmf, 0.0)
        for slot in range(self.slates.k):
            there = self.slates.there[:, slot]
            rows = self.slates.rows[there, slot]
            base = candidate[rows] if champion is None else champion[rows]
            one, two = new[there, slot, None] * candidate[rows], old[there, slot, None] * base
            found = found.copy()
            found[there] = powers(drawable[rows], one, two)
            most = found if found[:, 0].mean() > most[:, 0].mean() else most
        return most

    def unsupported(self, pmf: F64) -> float:
        """The policy's mass on slates that the log could not draw, from those that it did draw."""
        outside = np.where(self.log.batch.mask & (self.log.pmf <= 0.0), pmf, 0.0).sum(axis=1)
        if not outside.any():
            return 0.0
        return float((_above(self.log, self.slates, pmf) * self.slates.spread(outside)).sum(axis=1).mean())

    def heaviest(self, *pmfs: F64) -> float:
        """A bound on the weight that a slate could have had, for any of these policies."""
        drawable = self.log.batch.mask & (self.log.pmf > 0)
        inverse = np.where(drawable, 1.0 / np.where(drawable, self.log.pmf, 1.0), 0.0)
        tops = (self.slates.spread((pmf * inverse).max(axis=1), 1.0).prod(axis=1) for pmf in pmfs)
        return max(float(top.max()) for top in tops)


def to_go(log: Interactions, slates: LoggedSlates) -> Interactions:
    """The rows, each with the sum of the rewards of its slot and those below it."""
    earned, reward = slates.spread(log.reward), log.reward.copy()
    reward[slates.rows[slates.there]] = np.cumsum(earned[:, ::-1], axis=1)[:, ::-1][slates.there]
    return replace(log, reward=reward)


def _fitted(log: Interactions, slates: LoggedSlates, *, seed: int) -> F32:
    """Q̂ (n, K) of each slot by a model of its own, cross-fitted (ope/reward_model.py): what the log earned from there
    on. Zeros where few slates have the slot."""
    found, earned = np.zeros(log.pmf.shape, np.float32), to_go(log, slates)
    for slot in range(slates.k):
        rows = slates.rows[slates.there[:, slot], slot]
        if len(rows) >= LEAST:
            found[rows] = cross_fit(earned[rows], seed=seed)
    return found


def _above(log: Interactions, slates: LoggedSlates, pmf: F64) -> F64:
    """(m, k): Π π / p of the slots above each."""
    ratio = slates.spread(pmf[np.arange(len(log)), log.chosen] / log.propensity, 1.0)
    return np.concatenate([np.ones((len(slates), 1)), np.cumprod(ratio, axis=1)[:, :-1]], axis=1)
