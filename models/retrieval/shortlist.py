"""A shortlist of known probability: the top arms of an index for certain, and others drawn uniformly.

Of A arms, T are on the list for certain. Of the A − T others R are drawn without replacement, so that each is on the
list with probability R / (A − T): every arm can be reached, and the probability of its being listed is known. A
policy's pmf over the list is exact given the list. The draws are hashes of the event, so they can be derived again."""

from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64, I64
from croupier.features.ids import hash64


@dataclass(frozen=True, kw_only=True, eq=False)
class Shortlist:
    """`rows` (T + R,) of arms, the `top` T first, of `arms` A in all; of a cluster of arms, `cluster` says which, and
    `probability` that it was drawn (hierarchy.py)."""

    rows: I64
    top: int
    arms: int
    cluster: str = ""
    probability: float = 1.0

    def __str__(self) -> str:
        """What a decision says of it."""
        within = f" in cluster {self.cluster} by {self.probability:.6g}" if self.cluster else ""
        return f"{self.top}+{len(self.rows) - self.top} of {self.arms}{within}"

    @property
    def inclusion(self) -> F64:
        """(T + R,) the probability that each was on the list: 1 for the top ones, R / (A − T) for the others, times
        that of the cluster."""
        found = np.full(len(self.rows), self.probability)
        if others := len(self.rows) - self.top:
            found[self.top :] *= others / (self.arms - self.top)
        return found


def shortlist(top: I64, arms: int, random: int, *, salt: str, event_id: str) -> Shortlist:
    """The rows `top` (T,), distinct, of `arms` arms, and `random` others: all that there are, where these are fewer.
    Floyd's algorithm (Bentley & Floyd 1987) on hashes of the event."""
    others, picked = arms - len(top), dict[int, None]()
    for j in range(others - min(random, others), others):
        at = hash64(salt, f"retrieval {j} {event_id}") * (j + 1) >> 64
        picked[j if at in picked else at] = None
    ranks, taken = np.array([*picked], np.int64), np.sort(top)
    # of the arms that are not among the top: the row of rank r lies behind as many taken ones as stand before it
    rows = ranks + np.searchsorted(taken - np.arange(len(taken)), ranks, side="right")
    return Shortlist(rows=np.concatenate([top, rows]), top=len(top), arms=arms)
