"""Is a log of slates what it says it is? Its propensities, slot by slot and jointly; and that users go down."""

import numpy as np

from croupier.features.batch import F64, Interactions
from croupier.models.ope.self_tests import (
    ROUNDING,
    at_all_looks,
    knows_whole_pmf,
    p_value,
    propensity_spread,
    propensity_values,
)
from croupier.models.slates.estimators import SlateRounds
from croupier.models.slates.from_log import LoggedSlates


def propensity(log: Interactions, slates: LoggedSlates, *, often: bool) -> float:
    """p-value that slots were drawn with their conditional propensities, and slates with the joint ones: of each slot
    what is asked of a decision (ope/self_tests.py), and of the slate Π 1 / (m p) − 1, m the arms that a slot could
    show. `often`: of a log that grows and is asked at every look."""
    values, spread = slot_values(log, slates)
    p = p_value(values, spread, tolerance=ROUNDING)
    return at_all_looks(p, len(slates)) if often else p


def slot_values(log: Interactions, slates: LoggedSlates) -> tuple[F64, F64]:
    """Returns (m, c), each column with mean zero if the log tells the truth, and (c,) their standard deviations then:
    two columns a slot, one where the log has the drawn arm's probability alone; the last is of the whole slate."""
    width = 2 if knows_whole_pmf(log) else 1
    columns, spreads = list[F64](), list[F64]()
    joint, second = np.ones(len(slates)), 1.0
    for slot in range(slates.k):
        there = slates.there[:, slot]
        part, share = log[slates.rows[there, slot]], float(there.mean())
        found = np.zeros((len(slates), width))
        found[there] = propensity_values(part)[:, :width]
        spread = propensity_spread(part)[:width] * np.sqrt(share)
        columns, spreads = [*columns, found], [*spreads, spread]
        joint, second = joint * (1.0 + found[:, 0]), second * (1.0 + float(spread[0]) ** 2)
    return np.column_stack([*columns, joint - 1.0]), np.array([*np.concatenate(spreads), np.sqrt(second - 1.0)])


def goes_down(seen: SlateRounds, other: SlateRounds, *, often: bool) -> float:
    """p-value that no slot's reward depends on the slots below it, which cascade-DR stands on: then Σ_l (w_{1:k} −
    w_{1:l}) r_l, what standard IPS has more than reward-interaction IPS, has mean zero for any policy."""
    columns = [_beyond(one) for one in (seen, other)]
    values = np.column_stack([c for c in columns if c.any()] or [np.zeros(len(seen))])
    p = p_value(values)
    return at_all_looks(p, len(seen)) if often else p


def _beyond(seen: SlateRounds) -> F64:
    weight = seen.down_to
    return np.asarray(((weight[:, -1:] - weight) * seen.reward).sum(axis=1))
