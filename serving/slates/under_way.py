"""A slate while it is decided: what is left to show, and what its slots have been given."""

from collections.abc import Iterator, Sequence

import numpy as np

from croupier.features.batch import Left
from croupier.features.schema import Decision
from croupier.features.slates.minimums import Minimum, minimums_of, offers
from croupier.features.slates.so_far import Shown, SlateSoFar
from croupier.serving.contract.requests import Request, Selection
from croupier.serving.contract.slates import Slate, SlateRequest, names
from croupier.serving.decide.offered import OfferedRequest


class UnderWay:
    """The slate `slate_id` of `k` slots, `asked` as it was and `offered` as it can be: `left` is the request over what
    no slot shows, `made` the decisions of the slots so far, `minimums` what is asked of all slots, `narrowed` what is
    left to slots that may not show all of it. `recorded`: each slot says on record what stands above it."""

    __slots__ = ("asked", "k", "left", "made", "minimums", "narrowed", "offered", "recorded", "slate_id")

    def __init__(
        self,
        slate_id: str,
        k: int,
        asked: SlateRequest,
        offered: OfferedRequest,
        minimums: Sequence[Minimum] = (),
        *,
        recorded: bool = False,
    ) -> None:
        self.slate_id, self.k, self.asked, self.offered, self.left = slate_id, k, asked, offered, offered.request
        self.minimums, self.recorded = minimums, recorded
        self.made, self.narrowed = list[Decision](), dict[int, Sequence[str]]()

    def request(self, left: Left, row: int) -> Request:
        """The decision of the next slot, for which this is left: row by row, the slates that have it."""
        found = self.left
        if self.minimums and (n := int(np.count_nonzero(left.mask[row]))) < len(found.arms):
            found = _over(self.offered.request, left.place[row, :n].tolist())
            self.narrowed[len(self.made)] = self.left.arms
        if self.recorded:
            found.slate = self.so_far()
        return found

    def take(self, decision: Decision, place: int) -> None:
        """The next slot shows this arm, from this place among its candidates."""
        if len(self.made) + 1 < self.k:
            place = self.left.arms.index(decision.arm) if len(self.made) in self.narrowed else place
            self.left = without(self.left, place, own=bool(self.made))
        self.made.append(decision)

    def so_far(self) -> SlateSoFar:
        """What the next slot knows of the slate."""
        above = self._as_asked([d.arm for d in self.made]) if self.made else ()
        return SlateSoFar.of(self.k, above, self.asked.minimums)

    def _as_asked(self, shown: Sequence[str]) -> Sequence[Shown]:
        if not self.offered.request.arm_features:
            return shown
        ids = names(self.asked.arms)
        return [self.asked.arms[ids.index(arm)] for arm in shown]

    def answer(self) -> Slate:
        """The slate as it was decided."""
        if self.narrowed or self.offered.dropped:
            return Slate(slate_id=self.slate_id, slots=tuple(self._slots()))
        slots = [Selection(d.event_id, d.arm, d.propensity, d.pmf, d.release, d.role) for d in self.made]
        return Slate(slate_id=self.slate_id, slots=tuple(slots))

    def _slots(self) -> Iterator[Selection]:
        for slot, d in enumerate(self.made):
            if self.offered.dropped or slot in self.narrowed:
                yield OfferedRequest(self.left, self._listed(slot)).answer(d)
            else:
                yield Selection(d.event_id, d.arm, d.propensity, d.pmf, d.release, d.role)

    def _listed(self, slot: int) -> Sequence[str]:
        """The arms that a slot asks for."""
        if not self.offered.dropped and not self.asked.minimums:
            return self.narrowed[slot]
        listed, shown = self.offered.arms, [d.arm for d in self.made[:slot]]
        own = minimums_of(self.asked.minimums, listed, self.k) if self.asked.minimums else ()
        some = offers(own, shown, self.k)
        return tuple(arm for arm in listed if arm not in shown and (some is None or arm in some))


def _over(request: Request, places: Sequence[int]) -> Request:
    """A decoded request over its arms at these places."""
    arms, pairs, given = request.arms, request.arm_context, request.arm_features
    return Request(
        unit_id=request.unit_id,
        context=request.context,
        arms=tuple([arms[i] for i in places]),
        arm_context=tuple([pairs[i] for i in places]) if pairs else (),
        arm_features=tuple([given[i] for i in places]) if given else (),
    )


def without(request: Request, place: int, *, own: bool = False) -> Request:
    """A decoded request without one of its arms; itself, where it is the slate's `own` and may be changed."""
    arms, pairs, given, after = request.arms, request.arm_context, request.arm_features, place + 1
    if own and not pairs and not given:
        request.arms = (*arms[:place], *arms[after:])
        return request
    return Request(
        unit_id=request.unit_id,
        context=request.context,
        arms=(*arms[:place], *arms[after:]),
        arm_context=(*pairs[:place], *pairs[after:]) if pairs else (),
        arm_features=(*given[:place], *given[after:]) if given else (),
    )
