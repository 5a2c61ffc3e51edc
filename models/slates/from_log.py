"""The slates of a log whose slots are decisions of their own, as `select_slate` and multi-slot logs record them.

Each slot's conditional propensity, the policy's, and Q̂ stand in its own row, so that a slate as any policy sees it is
its rows side by side: enough for sips, rips and cascade_dr. Marginals and the pseudoinverse would need the log's policy
on every slate that was not shown."""

from collections.abc import Sequence

import numpy as np

from croupier.features.batch import I64
from croupier.models.ope.estimators import Rounds
from croupier.models.slates.estimators import SlateRounds


def placed(events: Sequence[str], k: int) -> I64:
    """Returns (m, k): the rows of each slate's slots in order, of events ID/0 … ID/k−1. What is no slot, and slates
    that lack one of theirs or have more, are left out. Raises ValueError where that leaves none."""
    slots: dict[str, dict[int, int]] = {}
    for row, event in enumerate(events):
        slate, _, place = event.rpartition("/")
        if slate and place.isascii() and place.isdigit():
            slots.setdefault(slate, {})[int(place)] = row
    whole = [[rows[place] for place in range(k)] for rows in slots.values() if rows.keys() == set(range(k))]
    if not whole:
        raise ValueError(f"slates: found {len(slots)} slates in {len(events)} rows, none of {k} slots; expected one")
    return np.array(whole, np.int64)


def slates_of(rounds: Rounds, rows: I64) -> SlateRounds:
    """The slates whose slots are `rows` (m, k) of the log that a policy sees as `rounds`. Slots of a thinned log were
    kept each by itself: a slate counts for the product."""
    return SlateRounds(
        reward=rounds.reward[rows],
        logged=rounds.propensity[rows],
        target=rounds.target[rows],
        predicted=rounds.predicted[rows],
        direct=rounds.direct[rows],
        thinning=rounds.thinning[rows].prod(axis=1),
    )
