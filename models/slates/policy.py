"""A slate policy says what comes next: a pmf over the arms that are left, given those that are shown already.

That is all a slate needs. The joint propensity of a slate is the product of its slots' conditional ones, whatever the
policy: a pmf drawn from without replacement, posterior draws that elect whole slates, arms unlike those above them.

    shown ()  ──▶ pmf over K arms ──▶ first arm
    shown (a) ──▶ pmf over the others given a ──▶ second arm …
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from croupier.features.batch import F64, I64, Bool


class SlatePolicy(Protocol):
    """For B requests, each with up to K arms; arms are places 0 … K − 1 in the request."""

    @property
    def mask(self) -> Bool:
        """(B, K), True on candidates."""
        ...

    def rest(self, shown: I64) -> F64:
        """Returns (B, K), the pmf of the next slot given the places `shown` (B, j), first slot first. A row sums to 1,
        or to 0 where its `shown` could not have been, or where nothing is left that the policy would show."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Slates:
    """B drawn slates: `place` (B, k) of the arms in order, `conditional` (B, k) propensity of each given those above
    it."""

    place: I64
    conditional: F64

    @property
    def joint(self) -> F64:
        """(B,): the propensity of each whole slate."""
        return np.asarray(self.conditional.prod(axis=1))


def draw(policy: SlatePolicy, u: F64) -> Slates:
    """Draws a slate a request by inversion, slot by slot: u (B, k) in [0, 1), one number a slot, so that a slate can be
    drawn again from what its numbers came from. Raises ValueError where nothing is left to show."""
    B, k = _checked(policy, u.shape)
    place, conditional = np.zeros((B, k), np.int64), np.empty((B, k))
    for slot in range(k):
        pmf = policy.rest(place[:, :slot])
        cumulative = np.cumsum(pmf, axis=1)
        total = cumulative[:, -1:]
        if not np.all(total > 0):
            row = int(np.flatnonzero(~(total[:, 0] > 0))[0])
            raise ValueError(
                f"slate: found no arm with a probability above 0 for slot {slot} of row {row}, expected one; mix in a "
                "floor (Mixed), or ask for fewer slots"
            )
        place[:, slot] = (cumulative <= np.minimum(u[:, slot, None] * total, np.nextafter(total, 0.0))).sum(axis=1)
        conditional[:, slot] = pmf[np.arange(B), place[:, slot]]
    return Slates(place=place, conditional=conditional)


def propensities(policy: SlatePolicy, place: I64) -> F64:
    """Returns (B, k): the conditional propensity with which the policy would have drawn each slot of these slates;
    their product along a row is the joint one. 0 from the first slot on that it could not have drawn."""
    B, k = _checked(policy, place.shape)
    found = np.zeros((B, k))
    for slot in range(k):
        found[:, slot] = policy.rest(place[:, :slot])[np.arange(B), place[:, slot]]
    return found


def left(mask: Bool, shown: I64) -> Bool:
    """Returns (B, K): the candidates that are not shown yet; none in a row that shows an arm twice, or one that is no
    candidate."""
    rest = mask.copy()
    rows = np.arange(len(mask))
    possible = np.ones(len(mask), bool)
    for slot in range(shown.shape[1]):
        possible &= rest[rows, shown[:, slot]]
        rest[rows, shown[:, slot]] = False
    return np.asarray(rest & possible[:, None])


def _checked(policy: SlatePolicy, shape: tuple[int, ...]) -> tuple[int, int]:
    """(B, k) of a draw. Raises ValueError where a row has fewer than k candidates."""
    if len(shape) != 2 or shape[0] != len(policy.mask) or shape[1] < 1:
        raise ValueError(f"slates: found shape {shape}, expected (B, k) with B = {len(policy.mask)} and k of 1 or more")
    enough(policy.mask, shape[1])
    return shape[0], shape[1]


def enough(mask: Bool, k: int) -> None:
    """Raises ValueError where a row has fewer than k candidates."""
    fewest = int(mask.sum(axis=1).min(initial=k))
    if fewest < k:
        raise ValueError(f"slates: found {k} slots and a row of {fewest} candidates, expected k ≤ candidates")
