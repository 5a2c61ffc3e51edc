"""What became of every event. An account adds over hours and hosts, and it balances or it is an error."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


class Unbalanced(ValueError):
    """Events went missing or were counted twice: stop, and look at the counts in the message."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Counts of events.

    decisions_in = interactions + quarantined (broke a row rule) + immature (window still open) + decision_duplicates
                   + decisions_malformed + thinned
    rewards_in = on_time + late (after the window; kept) + orphan (no such decision) + duplicate + malformed
                 + undeclared (its kind) + outside (the kind's range) + untimely; the last four: refused on receipt
    A matched reward is counted in the hour of its decision, any other event in the hour of its own time.
    """

    decisions_in: int = 0
    interactions: int = 0
    quarantined: int = 0
    immature: int = 0
    decision_duplicates: int = 0
    decisions_malformed: int = 0
    thinned: int = 0
    rewards_in: int = 0
    on_time: int = 0
    late: int = 0
    orphan: int = 0
    malformed: int = 0
    undeclared: int = 0
    outside: int = 0
    untimely: int = 0
    duplicate: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def decisions_out(self) -> int:
        """The decisions that are accounted for."""
        kept = self.interactions + self.quarantined + self.immature + self.decision_duplicates
        return kept + self.decisions_malformed + self.thinned

    @property
    def rewards_out(self) -> int:
        """The rewards that are accounted for."""
        return self.on_time + self.late + self.orphan + self.refused + self.duplicate

    @property
    def refused(self) -> int:
        """Rewards that were refused on receipt, for whatever reason."""
        return self.malformed + self.undeclared + self.outside + self.untimely

    @property
    def balanced(self) -> bool:
        """True if every event that came in is accounted for."""
        return (self.decisions_in, self.rewards_in) == (self.decisions_out, self.rewards_out)

    def checked(self) -> Self:
        """Returns the account. Raises Unbalanced where events are missing in it."""
        if not self.balanced:
            raise Unbalanced(f"account: events in and events accounted for differ: {self.to_dict()}")
        return self

    def to_dict(self) -> dict[str, int]:
        """The counts by name, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, counts: Mapping[str, Any]) -> Self:
        """Restores an account from JSON; counts that an older version did not know are 0."""
        return cls(**{f.name: int(counts.get(f.name, 0)) for f in fields(cls)})
