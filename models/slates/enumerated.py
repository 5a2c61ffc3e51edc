"""Slate policies over every slate of a few contexts: a log of such slates as another policy sees it, exactly."""

from dataclasses import dataclass
from functools import cached_property
from math import perm

import numpy as np

from croupier.features.batch import F64, I64
from croupier.models.slates import enumeration, pseudoinverse, reward_model
from croupier.models.slates.estimators import SlateRounds
from croupier.models.slates.policy import SlatePolicy


@dataclass(frozen=True, kw_only=True, eq=False)
class Enumerated:
    """A slate policy for C contexts, k slots of K arms: what is known of each of its N slates, computed once."""

    policy: SlatePolicy
    k: int

    @cached_property
    def slates(self) -> I64:
        """(N, k): every slate."""
        return enumeration.every_slate(self.policy.mask.shape[1], self.k)

    @cached_property
    def conditional(self) -> F64:
        """(C, N, k): propensity of each slot given those above it."""
        number = np.arange(len(self.slates))
        return np.stack([self.rest[slot][:, number, self.slates[:, slot]] for slot in range(self.k)], axis=2)

    @cached_property
    def joint(self) -> F64:
        """(C, N): propensity of each slate."""
        return np.asarray(self.conditional.prod(axis=2))

    @cached_property
    def marginals(self) -> F64:
        """(C, k, K): probability of each arm in each slot."""
        return enumeration.marginals(self.joint, self.policy.mask.shape[1], self.k)

    @cached_property
    def at(self) -> F64:
        """(C, N, k): the marginals of each slate's own arms."""
        return self.marginals[:, np.arange(self.k), self.slates]

    @cached_property
    def rest(self) -> F64:
        """(k, C, N, K): the pmf of each slot given what each slate has above it."""
        (C, K), N = self.policy.mask.shape, len(self.slates)
        found = np.empty((self.k, C, N, K))
        for slot in range(self.k):
            width = perm(K - slot, self.k - slot)
            for first in range(0, N, width):
                shown = np.broadcast_to(self.slates[first, :slot], (C, slot))
                found[slot, :, first : first + width] = self.policy.rest(shown)[:, None]
        return found

    def draw(self, group: I64, rng: np.random.Generator) -> I64:
        """Returns (n,): numbers of slates, one for each context in `group` (n,)."""
        cumulative = np.cumsum(self.joint, axis=1)
        u, found = rng.random(len(group)), np.empty(len(group), np.int64)
        for context, total in enumerate(cumulative[:, -1]):
            mine = group == context
            found[mine] = np.searchsorted(cumulative[context], u[mine] * total, side="right")
        return found


def pseudo(log: Enumerated, target: Enumerated) -> F64:
    """(C, N): the pseudoinverse weight of each slate."""
    return pseudoinverse.weights(log.joint, target.marginals)


def rounds(
    log: Enumerated, target: Enumerated, weights: F64, *, group: I64, slate: I64, reward: F64, fold: I64
) -> SlateRounds:
    """n logged slates as `target` sees them: group (n,) contexts, slate (n,) numbers of slates, reward (n, k), fold
    (n,) parts for the cross-fitted reward model; weights (C, N) of `pseudo`."""

    def rest(slot: int) -> F64:
        return np.asarray(target.rest[slot, group, slate])

    predicted, direct = reward_model.cross_fit(log.slates[slate], reward, group, rest, fold=fold)
    return SlateRounds(
        reward=reward,
        logged=log.conditional[group, slate],
        target=target.conditional[group, slate],
        logged_at=log.at[group, slate],
        target_at=target.at[group, slate],
        predicted=predicted,
        direct=direct,
        pseudo=weights[group, slate],
        thinning=np.ones(len(group)),
    )
