"""A slate while it is decided: what is left to show, and what its slots have been given."""

from collections.abc import Iterator

from croupier.features.schema import Decision
from croupier.serving.contract.requests import Request, Selection
from croupier.serving.contract.slates import Slate
from croupier.serving.decide.offered import OfferedRequest


class UnderWay:
    """The slate `slate_id` of `k` slots, asked for as `offered`: `request` is that of the next slot, `shown` are the
    places in the batch of the arms above it, `made` the decisions of the slots so far."""

    __slots__ = ("k", "made", "offered", "request", "shown", "slate_id")

    def __init__(self, slate_id: str, k: int, offered: OfferedRequest) -> None:
        self.slate_id, self.k, self.offered, self.request = slate_id, k, offered, offered.request
        self.shown, self.made = list[int](), list[Decision]()

    def take(self, decision: Decision, places: list[int]) -> None:
        """The next slot shows this arm; `places` are those in the batch of what was left."""
        place = decision.arms.index(decision.arm)
        self.made.append(decision)
        self.shown.append(places[place])
        if len(self.made) < self.k:
            self.request = without(self.request, place)

    def answer(self) -> Slate:
        """The slate as it was decided."""
        return Slate(slate_id=self.slate_id, slots=tuple(self._slots()))

    def _slots(self) -> Iterator[Selection]:
        if self.offered.dropped:
            listed = self.offered.arms
            for d in self.made:
                yield OfferedRequest(self.request, listed, self.offered.dropped).answer(d)
                listed = tuple(arm for arm in listed if arm != d.arm)
        else:
            for d in self.made:
                yield Selection(d.event_id, d.arm, d.propensity, d.pmf, d.release, d.role)


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
