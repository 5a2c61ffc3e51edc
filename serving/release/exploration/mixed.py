"""What is served of a policy's pmf: the floor and the share of new arms mixed in, within limits, beside a baseline."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from croupier.features.batch import F64, Batch, Bool, Catalogue
from croupier.models.constraints.beside_baseline import BesideBaseline, Promised
from croupier.models.constraints.held import DecisionLimits
from croupier.models.exploration import guard, uniform, with_floor, with_floor_toward
from croupier.models.policy import Policy
from croupier.serving.release.exploration.toward import Toward
from croupier.serving.release.newcomer_share import Newcomers


@dataclass(frozen=True, kw_only=True, eq=False)
class Exploration:
    """floor: ε; toward: the candidate on which a share of ε is spent, if any; newcomers, and which `rows` (A,) of the
    catalogue they are; limits of each decision; beside: the declared baseline, if any."""

    floor: float
    newcomers: Newcomers
    rows: Bool
    limits: DecisionLimits
    toward: Toward | None
    beside: BesideBaseline | None = None

    @cached_property
    def _alone(self) -> bool:
        """True if the floor is all that is mixed in, within no limits."""
        return not (self.limits or (self.newcomers.share and self.newcomers.since))

    @classmethod
    def of(
        cls,
        floor: float,
        new: Newcomers,
        known: Catalogue,
        limits: DecisionLimits,
        toward: Toward | None,
        *,
        beside: BesideBaseline | None = None,
    ) -> Self:
        """Over the arms of a catalogue."""
        return cls(floor=floor, newcomers=new, rows=new.rows(known), limits=limits, toward=toward, beside=beside)

    def served(self, pmf: F64, batch: Batch, other: F64 | None = None, promised: Promised | None = None) -> F64:
        """Returns (B, K): what is drawn from. `pmf` is a policy's, `other` that of the candidate that is explored
        toward, guarded both; without `other` all of ε is spread uniformly. `promised`: where it is known already."""
        mine, promised = self._by_itself(pmf, batch, other), promised or self.promised(batch)
        return mine if promised is None else promised.mixed(mine)

    def promised(self, batch: Batch) -> Promised | None:
        """The declared baseline as it would be served by itself, and the policy's share; None where none is
        declared."""
        if self.beside is None:
            return None
        baseline = self._by_itself(self.beside.pmf(batch), batch)
        return Promised(share=self.beside.shares(batch), baseline=baseline)

    def _by_itself(self, pmf: F64, batch: Batch, other: F64 | None = None) -> F64:
        epsilon = self.limits.explored(batch, self.floor)
        if other is None or self.toward is None:
            explored = with_floor(pmf, batch.mask, epsilon)
            if self._alone:
                return explored
        else:
            explored = with_floor_toward(pmf, other, batch.mask, epsilon, self.toward.share)
        return self.limits.held(self.newcomers.mixed(explored, batch, self.rows), batch, self.floor)

    def pmf(self, policy: Policy, batch: Batch) -> F64:
        """Returns (B, K): what is drawn from where this policy decides and nothing fails."""
        left = self.limits.safe(policy, batch)
        other = None if self.toward is None else guard(self.toward.policy.pmf(left), left.mask)
        return self.served(policy.pmf(left), left, other)

    def alone(self, policy: Policy, batch: Batch) -> F64:
        """Returns (B, K): the same where nothing was explored toward."""
        left = self.limits.safe(policy, batch)
        return self.served(policy.pmf(left), left)

    def uniform(self, batch: Batch) -> F64:
        """Returns (B, K): what is drawn from where no policy can decide: all candidates alike, within the limits."""
        alike, promised = self.limits.held(uniform(batch.mask), batch, self.floor), self.promised(batch)
        return alike if promised is None else promised.mixed(alike)
