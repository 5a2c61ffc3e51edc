"""A slate while it is decided: what is left to show, and what its slots have been given."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from croupier.features.schema import Decision
from croupier.features.slates.minimums import Minimum, minimums_of, offers
from croupier.features.slates.so_far import Shown, SlateSoFar
from croupier.serving.contract.requests import Request, Selection
from croupier.serving.contract.slates import Slate, SlateRequest, names
from croupier.serving.decide.offered import OfferedRequest


class UnderWay:
    """The slate `slate_id` of `k` slots, `asked` as it was and `offered` as it can be: `left` is the request over what
    no slot shows, `made` the decisions of the slots so far, `minimums` what is asked of all slots. `recorded`: each
    slot says on record what stands above it."""

    __slots__ = ("asked", "k", "left", "made", "minimums", "offered", "recorded", "slate_id")

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
        self.minimums, self.recorded, self.made = minimums, recorded, list[Decision]()

    def request(self, places: Sequence[int], n: int) -> Request:
        """The decision of the next slot, over the candidates at the first n of these places."""
        found = self.left
        if n < len(found.arms):
            found = _over(self.offered.request, places[:n])
        if self.recorded:
            found = replace(found, slate=self.so_far())
        return found

    def take(self, decision: Decision) -> int:
        """The next slot shows this arm. Returns its place among the candidates."""
        self.made.append(decision)
        if len(self.made) < self.k:
            self.left = without(self.left, self.left.arms.index(decision.arm))
        return self.offered.request.arms.index(decision.arm)

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
        return Slate(slate_id=self.slate_id, slots=tuple(self._slots()))

    def _slots(self) -> Iterator[Selection]:
        if self.offered.dropped or self.minimums:
            shown = list[str]()
            for d in self.made:
                yield OfferedRequest(self.left, self._listed(shown)).answer(d)
                shown.append(d.arm)
        else:
            for d in self.made:
                yield Selection(d.event_id, d.arm, d.propensity, d.pmf, d.release, d.role)

    def _listed(self, shown: Collection[str]) -> tuple[str, ...]:
        """The arms that a slot asks for below those that show these."""
        listed = self.offered.arms
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


def without(request: Request, place: int) -> Request:
    """A decoded request without one of its arms."""
    arms, pairs, given, after = request.arms, request.arm_context, request.arm_features, place + 1
    return Request(
        unit_id=request.unit_id,
        context=request.context,
        arms=(*arms[:place], *arms[after:]),
        arm_context=(*pairs[:place], *pairs[after:]) if pairs else (),
        arm_features=(*given[:place], *given[after:]) if given else (),
    )
