"""A pmf beside the declared baseline's: p = (1 − s) b + s π, with the share s of each request.

The baseline is what it would be served as by itself: with the floor, the share of new arms and the limits of each
decision. So the mixture keeps the limits, too, and each arm keeps its part of the floor.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
import orjson

from croupier.features.batch import F64, Batch
from croupier.features.declared.fitting import UNIFORM, release_of
from croupier.features.spec_values import SafetySpec
from croupier.models.baselines import FixedArm, Uniform
from croupier.models.exploration import guard, uniform
from croupier.models.policy import Policy

log = logging.getLogger(__name__)


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
    """`alpha` of the baseline's value may be lost; `baseline`: "uniform", "release 12", or the id of an arm; where that
    arm is no candidate, the baseline is uniform. `kept`: the champion of that release."""

    alpha: float
    baseline: str = UNIFORM
    kept: Policy | None = field(default=None, compare=False)

    @classmethod
    def of(cls, safety: SafetySpec) -> Self | None:
        """What app.toml declares; None where it declares none."""
        return cls(alpha=safety.conservative, baseline=safety.baseline) if safety.conservative else None

    @property
    def release(self) -> int:
        """The number of the release that is the baseline; 0: none is."""
        return release_of(self.baseline)

    def pmf(self, batch: Batch) -> F64:
        """(B, K): the baseline's own. One that fails is uniform, as it would be served by itself."""
        if self.kept is None:
            return (Uniform() if self.baseline == UNIFORM else FixedArm(arm=self.baseline)).pmf(batch)
        try:
            return guard(self.kept.pmf(batch), batch.mask)
        except Exception:
            log.exception("the baseline %s failed", self.baseline)
            return uniform(batch.mask)

    @property
    def name(self) -> str:
        """A short one of what is promised: an allowance of another promise is not this one's."""
        return hashlib.sha256(orjson.dumps([self.alpha, self.baseline])).hexdigest()[:12]

    def shares(self, batch: Batch) -> F64:
        """(B, 1) the share of the policy: the batch's own, and α where nobody says: that much is free."""
        return np.full((len(batch), 1), self.alpha) if batch.share is None else batch.share[:, None]
