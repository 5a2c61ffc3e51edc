"""Slate policies: Plackett–Luce, a policy asked again, votes for whole slates, unlike arms, minimums, and mixtures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, cast

import numpy as np

from croupier.features.batch import F64, I64, Batch, Bool, Floats
from croupier.models.ope.rounds import as_served
from croupier.models.policy import Policy
from croupier.models.slates.policy import SlatePolicy, enough, left


@dataclass(frozen=True, kw_only=True, eq=False)
class PlackettLuce:
    """Each slot is drawn by softmax(log-weights) over the arms that are left. Plackett 1975; Luce 1959.

    log_weights (B, K), −inf for an arm that is never shown; mask (B, K)."""

    log_weights: F64
    mask: Bool

    @classmethod
    def of_scores(cls, scores: Floats, mask: Bool, *, temperature: float = 1.0) -> Self:
        """Weights exp(score / temperature). Raises ValueError where a candidate's score is not finite."""
        if not temperature > 0:
            raise ValueError(f"temperature: found {temperature}, expected a number above 0")
        if not np.isfinite(scores[mask]).all():
            raise ValueError("scores: found NaN or infinity at a candidate, expected finite numbers")
        return cls(log_weights=scores.astype(np.float64) / temperature, mask=mask)

    @classmethod
    def of_pmf(cls, pmf: F64, mask: Bool) -> Self:
        """Any policy's own pmf (B, K), drawn from without replacement: what is left is divided by its sum."""
        with np.errstate(divide="ignore"):
            return cls(log_weights=np.log(pmf), mask=mask & (pmf > 0))

    def rest(self, shown: I64) -> F64:
        """P(a | shown) = w_a / Σ of w over what is left."""
        return _softmax(self.log_weights, left(self.mask, shown))


def gumbel_top_k(scores: PlackettLuce, k: int, rng: np.random.Generator) -> I64:
    """Returns (B, k): slates of this Plackett–Luce law in one sorting, the k greatest of log-weight + Gumbel noise.
    Yellott 1977; Kool, van Hoof & Welling 2019, §2.3. Raises ValueError where a row has fewer candidates."""
    enough(scores.mask, k)
    noisy = np.where(scores.mask, scores.log_weights, -np.inf) + rng.gumbel(size=scores.mask.shape)
    return np.argsort(-noisy, axis=1, kind="stable")[:, :k]


@dataclass(frozen=True, kw_only=True, eq=False)
class AskedAgain:
    """A policy that is asked slot after slot, about what is left, and may read the slot: `at` says what the batch is at
    place j (its context with the slot's features); unchanged where None. floor: as the selector mixes it in."""

    policy: Policy
    batch: Batch
    floor: float = 0.0
    at: Callable[[Batch, int], Batch] | None = None

    @property
    def mask(self) -> Bool:
        """(B, K), the batch's candidates."""
        return self.batch.mask

    def rest(self, shown: I64) -> F64:
        """The policy's pmf over the arms that are left."""
        over = left(self.mask, shown)
        found, some = np.zeros(over.shape), over.any(axis=1)
        if some.any():
            batch = self.batch if self.at is None else self.at(self.batch, shown.shape[1])
            found[some] = as_served(self.policy, replace(batch, mask=over)[some], self.floor)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class TopVotes:
    """Greedy with posterior draws: each of S draws elects a whole slate, and shares of votes are joint propensities.

    elected (B, S, k): the slate of each draw, places in order; mask (B, K). The pmf of a slot given those above it is
    the share of the votes, among draws that agree so far."""

    elected: I64
    mask: Bool

    @classmethod
    def of_scores(cls, scores: Floats, mask: Bool, k: int) -> Self:
        """From scores (B, K, S) of the arms by each draw, the k greatest; of a tie the first in the request."""
        enough(mask, k)
        ranked = np.argsort(np.where(mask[:, :, None], -scores, np.inf), axis=1, kind="stable")
        return cls(elected=ranked[:, :k].transpose(0, 2, 1), mask=mask)

    def rest(self, shown: I64) -> F64:
        """The share of the agreeing draws that each arm has; rows of zeros where none agrees or k slots are full."""
        k, j = self.elected.shape[2], shown.shape[1]
        found = np.zeros(self.mask.shape)
        if j < k:
            agree = (self.elected[:, :, :j] == shown[:, None, :]).all(axis=2)
            row, voter = np.nonzero(agree)
            np.add.at(found, (row, self.elected[row, voter, j]), 1.0)
            found /= np.maximum(agree.sum(axis=1), 1)[:, None]
        return found

    def marginals(self) -> F64:
        """Returns (B, k, K), the exact probability of each arm in each slot, for any K and k."""
        B, S, k = self.elected.shape
        found = np.zeros((B, k, self.mask.shape[1]))
        row, _, slot = np.indices(self.elected.shape)
        np.add.at(found, (row, slot, self.elected), 1.0 / S)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Diversified:
    """Unlike arms: each slot by softmax of (1 − λ) score − λ (likeness to the most alike arm above), over temperature.

    Maximal marginal relevance (Carbonell & Goldstein 1998) with a temperature instead of the greatest, so that its
    propensities are exact and above 0. scores (B, K); likeness (B, K, K), of any scale; weight λ in [0, 1]."""

    scores: Floats
    likeness: Floats
    mask: Bool
    weight: float
    temperature: float

    def __post_init__(self) -> None:
        if not (0 <= self.weight <= 1 and self.temperature > 0):
            found = f"weight {self.weight} and temperature {self.temperature}"
            raise ValueError(f"diversified: found {found}, expected a weight of 0 to 1 and a temperature above 0")

    def rest(self, shown: I64) -> F64:
        """The pmf of the next slot."""
        value = (1.0 - self.weight) * self.scores.astype(np.float64)
        if shown.shape[1]:
            alike = np.take_along_axis(self.likeness, shown[:, None, :], axis=2).max(axis=2)
            value -= self.weight * alike
        return _softmax(value / self.temperature, left(self.mask, shown))


@dataclass(frozen=True, kw_only=True, eq=False)
class Minimums:
    """A policy held to a least number of arms of some categories in k slots: an arm is left out where, after it, the
    slots that remain could not hold what is still asked for. category (B, K); least {category: number}."""

    policy: SlatePolicy
    category: I64
    least: Mapping[int, int]
    k: int

    def __post_init__(self) -> None:
        if sum(self.least.values()) > self.k:
            found = f"{dict(self.least)} for {self.k} slots"
            raise ValueError(f"minimums: found {found}, expected a sum of at most {self.k}")
        for name, number in self.least.items():
            supply = int(((self.category == name) & self.mask).sum(axis=1).min(initial=number))
            if supply < number:
                found = f"a row with {supply} arms of category {name}"
                raise ValueError(f"minimums: found {found}, expected {number} or more")

    @property
    def mask(self) -> Bool:
        """(B, K), the policy's candidates."""
        return self.policy.mask

    def rest(self, shown: I64) -> F64:
        """The policy's pmf over the arms that leave room for the minimums."""
        drawn = np.take_along_axis(self.category, shown, axis=1)
        helps, asked = np.zeros(self.mask.shape, bool), np.zeros(len(self.mask), np.int64)
        for name, number in self.least.items():
            short = np.maximum(number - (drawn == name).sum(axis=1), 0)
            asked += short
            helps |= (self.category == name) & (short > 0)[:, None]
        free = self.k - shown.shape[1] > asked  # a slot to spare: any arm
        kept = np.where(helps | free[:, None], self.policy.rest(shown), 0.0)
        total = kept.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, kept / np.where(total > 0, total, 1.0), 0.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixed:
    """A mixture of whole slates: with probability share_m the slate is policy m's. Its joint propensity is the weighted
    sum of theirs; a slot's pmf weighs each policy by how likely it would have shown what is shown."""

    policies: Sequence[SlatePolicy]
    shares: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.policies) != len(self.shares) or min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-12:
            found = f"{len(self.policies)} policies with shares {list(self.shares)}"
            raise ValueError(f"mixed: found {found}, expected as many shares as policies, none below 0, in sum 1")

    @classmethod
    def floor(cls, policy: SlatePolicy, epsilon: float) -> "Mixed":
        """With probability ε a slate that is uniform over all slates of the candidates."""
        even = PlackettLuce(log_weights=np.zeros(policy.mask.shape), mask=policy.mask)
        return cls(policies=(policy, even), shares=(1.0 - epsilon, epsilon))

    @property
    def mask(self) -> Bool:
        """(B, K), the candidates of any of them."""
        return np.asarray(np.any([policy.mask for policy in self.policies], axis=0))

    def rest(self, shown: I64) -> F64:
        """Σ_m share_m · P_m(shown) · P_m(a | shown), over Σ_m share_m · P_m(shown)."""
        rows, total = np.arange(len(shown)), np.zeros(self.mask.shape)
        for policy, share in zip(self.policies, self.shares, strict=True):
            so_far = np.full(len(shown), share)
            for slot in range(shown.shape[1]):
                so_far = so_far * policy.rest(shown[:, :slot])[rows, shown[:, slot]]
            total += so_far[:, None] * policy.rest(shown)
        mass = total.sum(axis=1, keepdims=True)
        return np.asarray(np.where(mass > 0, total / np.where(mass > 0, mass, 1.0), 0.0))


def _softmax(value: F64, over: Bool) -> F64:
    """Softmax over `over`; zeros in a row where there is none."""
    kept = np.where(over, value, -np.inf)
    greatest = kept.max(axis=1, keepdims=True, initial=-np.inf)
    weight = np.exp(kept - np.where(np.isfinite(greatest), greatest, 0.0))
    total = weight.sum(axis=1, keepdims=True)
    return cast("F64", np.where(total > 0, weight / np.where(total > 0, total, 1.0), 0.0))
