"""Which of the arms that a request lists can be chosen now. Those that it brings along can.

retired, paused, not yet valid ─▶ left out of the candidates, counted, said in the answer
unknown to the release, or none left ─▶ the request is refused by name
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from croupier.features.encoding import catalogue, inline
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.schema import FROM_BOTH, FROM_CATALOGUE, FROM_REQUEST, InvalidEvent
from croupier.serving.contract import inline_arms
from croupier.serving.contract.inline_arms import AskedArm
from croupier.serving.contract.requests import Request
from croupier.serving.release import arm_source
from croupier.serving.release.bundle import LoadedRelease


@dataclass(slots=True)
class OfferedRequest:
    """A request with the arms that can be chosen, the `arms` it listed, and why those `dropped` cannot be."""

    request: Request
    arms: Sequence[str]
    dropped: dict[str, str] = field(default_factory=dict)


class Offered:
    """The arms of one release; `every`: those that cannot be chosen now, too."""

    def __init__(self, release: LoadedRelease, *, every: bool) -> None:
        self._number, self._encoder, self._catalogue = release.number, release.encoder, release.catalogue
        self._source = FROM_BOTH if every else arm_source.of(release.manifest)
        self._arms = {arm.arm_id: arm for arm in release.arms}
        bounded = {a.arm_id for a in release.arms if not every and (a.valid_from or a.valid_to or a.paused)}
        self._always, self._bounded = frozenset(self._arms.keys() - bounded), frozenset(bounded)

    def checked(self, request: Request, now: int, undeclared: Undeclared) -> OfferedRequest:
        """The request with its features as they are declared. Raises InvalidEvent naming an unknown arm, a wrong
        feature, an arm that comes from where none of the app does, or one that cannot be chosen where no other can
        be."""
        listed, given = request.arms, request.arm_features
        if given or self._source != FROM_CATALOGUE:
            inline_arms.check_source(self._source, request.arms, given)
        request = as_declared(self._encoder, request, undeclared)
        if given:
            inline.refuse_listed(given, self._catalogue, request.arms)
            listed = [arm for arm, own in zip(request.arms, given, strict=True) if own is None]
        if self._always.issuperset(listed):
            return OfferedRequest(request, request.arms)
        for arm in listed:
            if arm not in self._arms:
                raise InvalidEvent("arms", arm, f"an arm of release {self._number}")
        dropped = {a: why for a in listed if (why := self._why_not(a, now))}
        if len(dropped) == len(request.arms):
            arm, why = next(iter(dropped.items()))
            raise InvalidEvent("arms", arm, f"at least one arm that can be chosen now (this one: {why})")
        return (
            OfferedRequest(_without(request, dropped), request.arms, dropped)
            if dropped
            else OfferedRequest(request, request.arms)
        )

    def some(self, now: int) -> list[AskedArm]:
        """Arms for a health check to ask for at `now`; empty where none can be chosen."""
        found: list[AskedArm] = [*self.at(now)[:10]] if self._source != FROM_REQUEST else []
        return found if found or self._source == FROM_CATALOGUE else [{"id": "any", "features": {}}]

    def at(self, now: int) -> list[str]:
        """The arms that can be chosen at `now`."""
        return [arm for arm in self._arms if not self._why_not(arm, now)]

    def may_be(self, recorded: Sequence[str], asked: OfferedRequest) -> bool:
        """True if a decision among the arms `recorded` can be an earlier answer to this request. An arm that can be
        chosen at times only may have been among them or not."""
        if recorded == asked.request.arms:
            return True
        among = set(recorded)
        same = tuple(recorded) == tuple(arm for arm in asked.arms if arm in among)
        return same and self._bounded.issuperset(arm for arm in asked.arms if arm not in among)

    def _why_not(self, arm: str, now: int) -> str:
        return "" if arm in self._always else catalogue.why_not(self._arms[arm], now)


def as_declared(encoder: Encoder, request: Request, undeclared: Undeclared) -> Request:
    """The request with its features as the encoder knows them, flat and of their types. Raises InvalidEvent naming the
    field."""
    asked = request.context, request.arm_context, request.arm_features
    context, pairs, given = encoder.taken(*asked, undeclared)
    if context is asked[0] and pairs is asked[1] and given is asked[2]:
        return request
    return Request(
        unit_id=request.unit_id,
        context=context,
        arms=request.arms,
        arm_context=tuple(pairs),
        event_id=request.event_id,
        arm_features=tuple(given),
    )


def _without(request: Request, dropped: dict[str, str]) -> Request:
    kept = [i for i, arm in enumerate(request.arms) if arm not in dropped]
    return Request(
        unit_id=request.unit_id,
        context=request.context,
        arms=tuple(request.arms[i] for i in kept),
        arm_context=tuple(request.arm_context[i] for i in kept) if request.arm_context else (),
        event_id=request.event_id,
        arm_features=tuple(request.arm_features[i] for i in kept) if request.arm_features else (),
    )
