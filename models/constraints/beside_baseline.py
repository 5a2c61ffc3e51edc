"""A pmf beside the declared baseline's: p = (1 − s) b + s π, with the share s of each request.

The baseline is what it would be served as by itself: with the floor, the share of new arms and the limits of each
decision. So the mixture keeps the limits, too, and each arm keeps its part of the floor.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import orjson

from croupier.features.batch import F64, Batch
from croupier.features.declared.fitting import UNIFORM
from croupier.features.spec_values import SafetySpec
from croupier.models.baselines import FixedArm, Uniform
from croupier.models.policy import Policy


class OnRecord(NamedTuple):
    """What a decision says of the promise: the policy's `share`, and the probability that the `baseline` gave its
    arm."""

    share: float
    baseline: float

    def to_json(self) -> str:
        """As it stands in a decision's `conservative`."""
        return orjson.dumps({"baseline": self.baseline, "share": self.share}).decode()

    @classmethod
    def read(cls, text: str) -> Self | None:
        """From a decision's `conservative`; None where no promise is made. Raises ValueError for anything else."""
        if not text:
            return None
        body = orjson.loads(text)
        known = isinstance(body, dict) and sorted(body) == ["baseline", "share"]
        if not known or not {float, int}.issuperset(map(type, body.values())):
            raise ValueError(f"conservative: found {text[:60]!r}, expected an object of numbers, share and baseline")
        return cls(**body)


@dataclass(frozen=True, kw_only=True, eq=False)
class Promised:
    """What a batch is decided by beside the policy: its `share` (B, 1), and the pmf of the `baseline` (B, K)."""

    share: F64
    baseline: F64

    def of(self, drawn: Sequence[int]) -> list[str]:
        """What each decision says of it, where `drawn` (B,) are the places of the arms."""
        own = self.baseline[np.arange(len(drawn)), np.asarray(drawn, np.int64)]
        return [OnRecord(*each).to_json() for each in zip(self.share[:, 0].tolist(), own.tolist(), strict=True)]

    def mixed(self, pmf: F64) -> F64:
        """(B, K): what is drawn from, of the pmf (B, K) that would be served by itself."""
        return np.asarray((1 - self.share) * self.baseline + self.share * pmf)


@dataclass(frozen=True, kw_only=True)
class BesideBaseline:
    """`alpha` of the baseline's value may be lost; `baseline`: "uniform", or the id of an arm; where that arm is no
    candidate, the baseline is uniform."""

    alpha: float
    baseline: str = UNIFORM

    @classmethod
    def of(cls, safety: SafetySpec) -> Self | None:
        """What app.toml declares; None where it declares none."""
        return cls(alpha=safety.conservative, baseline=safety.baseline) if safety.conservative else None

    @property
    def policy(self) -> Policy:
        """The baseline as a policy."""
        return Uniform() if self.baseline == UNIFORM else FixedArm(arm=self.baseline)

    @property
    def name(self) -> str:
        """A short one of what is promised: an allowance of another promise is not this one's."""
        return hashlib.sha256(orjson.dumps([self.alpha, self.baseline])).hexdigest()[:12]

    def shares(self, batch: Batch) -> F64:
        """(B, 1) the share of the policy: the batch's own, and α where nobody says: that much is free."""
        return np.full((len(batch), 1), self.alpha) if batch.share is None else batch.share[:, None]
