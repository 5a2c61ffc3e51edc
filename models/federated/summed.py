"""A site's sums over its own rows: all of them exactly, or with limits on what a unit can add, and noise."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from croupier.features.batch import F64, Bool, Interactions
from croupier.models.bayesian.posterior import RidgeMoments
from croupier.models.federated import accountant
from croupier.models.federated.noise import Privacy, UnitLimits, multiplier, noisy
from croupier.models.federated.profile import untrained

if TYPE_CHECKING:
    from croupier.models.bayesian.base import Bayesian


def exact(policy: "Bayesian", log: Iterable[Interactions]) -> RidgeMoments:
    """The sums that the policy's own head takes of these rows."""
    return untrained(policy).update(log).head.moments


def private(
    policy: "Bayesian",
    log: Iterable[Interactions],
    limits: UnitLimits,
    *,
    epsilon: float,
    delta: float,
    times: int,
    rng: np.random.Generator,
) -> tuple[RidgeMoments, Privacy]:
    """The sums of what the limits leave of these rows, with noise, and what that is worth. ε is stated by the
    accountant, and is at most `epsilon`. Raises ValueError where rows count more than once."""
    noise = multiplier(epsilon, delta, times=times)
    while (found := accountant.stated(noise, delta, times=times))[0] > epsilon:
        noise *= 1 + 1e-6  # the accountant rounds up
    privacy = Privacy(
        limits=limits,
        sensitivity=limits.sensitivity(largest(policy, limits)),
        multiplier=noise,
        times=times,
        delta=delta,
        epsilon=found[0],
        accountant=found[1],
    )
    return noisy(limited(policy, log, limits), privacy.sd, rng), privacy


def largest(policy: "Bayesian", limits: UnitLimits) -> float:
    """The largest |r| of a reward within the limits, on the scale of the head."""
    return float(np.abs(policy.standardise(np.array([limits.low, limits.high]))).max())


def limited(policy: "Bayesian", log: Iterable[Interactions], limits: UnitLimits) -> RidgeMoments:
    """The sums of each unit's earliest rows, `limits.rows` at most, with φ shortened to the length and rewards clipped
    to the range that the limits say. Raises ValueError where a row counts more than once."""
    seen, total = dict[int, int](), untrained(policy).head.moments
    for chunk in log:
        if chunk.batch.allocation is not None or not (chunk.weight == 1).all():
            raise ValueError(
                "privacy: found rows of requests to allocate, or of a thinned log, expected rows that count once each: "
                "what one unit adds to the sums of these has no limit"
            )
        rows = chunk[earliest(chunk.unit.tolist(), seen, limits.rows)]
        phi = shortened(policy.features(rows.batch, rows.chosen), limits.length)
        total = total + RidgeMoments.of(phi, policy.standardise(rows.reward.clip(limits.low, limits.high)))
    return total


def earliest(units: list[int], seen: dict[int, int], most: int) -> Bool:
    """(n,) whether a row is among the first `most` of its unit, rows before these included, which `seen` counts."""
    kept = np.zeros(len(units), np.bool_)
    for i, unit in enumerate(units):
        kept[i] = seen.get(unit, 0) < most
        seen[unit] = seen.get(unit, 0) + 1
    return kept


def shortened(phi: F64, length: float) -> F64:
    """φ (n, d), each row no longer than `length`."""
    norms = np.linalg.norm(phi, axis=1, keepdims=True)
    kept: F64 = phi * np.minimum(1.0, length / np.maximum(norms, 1e-300))
    return kept
