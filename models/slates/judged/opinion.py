"""The pseudoinverse as second opinion, where the log's own policy is known on slates that it did not show.

A log has of its policy the way down to what was shown, and the pseudoinverse needs more. But where the champion draws
every slot as it was logged, the log is the champion's, and it can be asked what it would have drawn elsewhere. So are
some slates, evenly chosen: each is asked about by all prefixes, 65 of 3 slots and 8 arms, 401 of 20."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import perm
from typing import Self

import numpy as np

from croupier.features.batch import F64, I64, Interactions
from croupier.models.gate.bounds.steadied import by_unit
from croupier.models.ope.estimators import Moments, ratio, unthinned
from croupier.models.slates import pseudoinverse
from croupier.models.slates.enumeration import every_slate, marginals
from croupier.models.slates.judged.seen import JudgedSlates

ALIKE = 1e-6  # between a logged pmf and the champion's: float32 and the log's digits
ASKED = 60_000  # rows that a policy is asked about
MOST = 10_000  # slates of one request that are summed over
LEAST, ENOUGH = 100, 400  # slates that make an opinion: it need not be sharp, and each costs a pseudoinverse

Ask = Callable[[Interactions], Mapping[str, F64]]  # the pmf of each policy on these rows, as served


@dataclass(frozen=True, kw_only=True, eq=False)
class SecondOpinion:
    """S slates that the champion logged: `chosen` (S,) among the log's, `number` (S,) among all N slates of n arms;
    `joint` (S, N) and `marginals` (S, k, n) of each policy."""

    slates: JudgedSlates
    champion: str
    chosen: I64
    number: I64
    joint: Mapping[str, F64]
    marginals: Mapping[str, F64]

    @classmethod
    def of(cls, slates: JudgedSlates, champion: str, pmf: F64, ask: Ask) -> Self | None:
        """From the champion's `pmf` (n, K) on the log; None where it did not log enough slates of one size."""
        chosen, n = _eligible(slates, pmf)
        k = slates.slates.k
        if k < 2 or perm(n, k) > MOST or len(chosen) < LEAST:
            return None
        most = min(ENOUGH, ASKED // sum(perm(n, slot) for slot in range(k)))
        chosen = chosen[np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(np.int64)]
        place = np.array([_places(slates, row) for row in chosen])
        kept = place[:, 0] >= 0
        if kept.sum() < LEAST:
            return None
        every = {slate: i for i, slate in enumerate(map(tuple, every_slate(n, k).tolist()))}
        number = np.array([every[tuple(each)] for each in place[kept].tolist()])
        joint = _joint(slates, chosen[kept], n, ask)
        at = {name: marginals(each, n, k) for name, each in joint.items()}
        return cls(slates=slates, champion=champion, chosen=chosen[kept], number=number, joint=joint, marginals=at)

    def __len__(self) -> int:
        return len(self.chosen)

    def weights(self, name: str) -> F64:
        """(S,): the policy's pseudoinverse weight of each slate. Raises ValueError where it shows what the log cannot
        tell."""
        found = pseudoinverse.weights(self.joint[self.champion], self.marginals[name])
        return np.asarray(found[np.arange(len(self)), self.number])

    def lift(self, name: str) -> Moments | None:
        """Moments of the paired lift by the self-normalised pseudoinverse; None where the log cannot tell."""
        if name not in self.joint:
            return None
        rounds = self.slates.rounds[self.chosen]
        thinning = self.slates.slates.thinning(self.slates.log.weight)[self.chosen]
        try:
            gain = self.weights(name)
        except ValueError:
            return None
        lift = unthinned(ratio(gain * rounds.reward, gain, thinning) - rounds.reward, thinning)  # the champion's G is 1
        return by_unit(Moments.of(lift), lift, rounds.unit_number)


def _eligible(slates: JudgedSlates, pmf: F64) -> tuple[I64, int]:
    """Slates with all slots, that the champion draws as logged, of the commonest number of arms; and that number."""
    log, known = slates.log, slates.slates
    if log.batch.left_out is not None or log.batch.price is not None:
        return np.zeros(0, np.int64), 0
    count = log.batch.mask.sum(axis=1)
    same = known.spread(np.abs(pmf - log.pmf).max(axis=1) <= ALIKE, False).all(axis=1)
    first, slot = count[known.first], np.arange(known.k)
    fewer = (known.spread(count, -1) == first[:, None] - slot).all(axis=1)
    n = int(np.bincount(first[same & fewer]).argmax()) if (same & fewer).any() else 0
    return np.flatnonzero(same & fewer & (first == n)), n


def _places(slates: JudgedSlates, slate: int) -> list[int]:
    """The places of a slate's arms among its first slot's candidates; −1s where a slot has other candidates than are
    left of those."""
    batch, rows = slates.log.batch, slates.slates.rows[slate]
    first = batch.arm[rows[0], batch.mask[rows[0]]].tolist()
    left, found = set(first), list[int]()
    for row in rows:
        if left != set(batch.arm[row, batch.mask[row]].tolist()):
            return [-1] * len(rows)
        shown = int(batch.arm[row, slates.log.chosen[row]])
        left.discard(shown)
        found.append(first.index(shown))
    return found


def _joint(slates: JudgedSlates, chosen: I64, n: int, ask: Ask) -> dict[str, F64]:
    """The joint propensity (S, N) of every slate by each policy."""
    k, S = slates.slates.k, len(chosen)
    every = every_slate(n, k)
    number = np.arange(len(every))
    found = dict[str, F64]()
    for slot in range(k):
        width = perm(n - slot, k - slot)  # slates that begin alike lie beside each other
        rows, place = _asked(slates, chosen, slot, every[::width, :slot])
        for name, pmf in ask(rows).items():
            rest = np.take_along_axis(pmf, place, axis=1).reshape(S, -1, n)
            found[name] = found.get(name, np.ones((S, len(every)))) * rest[:, number // width, every[:, slot]]
    return found


def _asked(slates: JudgedSlates, chosen: I64, slot: int, above: I64) -> tuple[Interactions, I64]:
    """Each chosen slate's slot, with each of the prefixes (P, slot) above it: S · P rows, and the columns (S · P, n) of
    its first slot's candidates."""
    log, known = slates.log, slates.slates
    first, own = (np.repeat(known.rows[chosen, at], len(above)) for at in (0, slot))
    place = np.argsort(~log.batch.mask[first], axis=1, kind="stable")[:, : int(log.batch.mask[first[0]].sum())]
    mask = log.batch.mask[first].copy()
    shown = np.tile(above, (len(chosen), 1))
    mask[np.arange(len(first))[:, None], np.take_along_axis(place, shown, axis=1)] = False
    rows = log[own]
    batch = replace(rows.batch, arm=log.batch.arm[first], pair=log.batch.pair[first], mask=mask)
    return replace(rows, batch=batch, pmf=np.where(mask, 1.0, 0.0) / mask.sum(axis=1, keepdims=True)), place
