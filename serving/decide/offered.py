"""Which of the arms that a request lists can be chosen now.

retired, paused, not yet valid ─▶ left out of the candidates, counted, said in the answer
unknown to the release, or none left ─▶ the request is refused by name
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from croupier.features.encoding import catalogue
from croupier.features.schema import InvalidEvent
from croupier.serving.contract.requests import Request
from croupier.serving.release.bundle import LoadedRelease


@dataclass(slots=True)
class Asked:
    """A request with the arms that can be chosen, the `arms` it listed, and why those `dropped` cannot be."""

    request: Request
    arms: Sequence[str]
    dropped: dict[str, str] = field(default_factory=dict)


class Offered:
    """The arms of one release; `every`: those that cannot be chosen now, too."""

    def __init__(self, release: LoadedRelease, *, every: bool) -> None:
        self._number, self._encoder = release.number, release.encoder
        self._arms = {arm.arm_id: arm for arm in release.arms}
        bounded = {a.arm_id for a in release.arms if not every and (a.valid_from or a.valid_to or a.paused)}
        self._always, self._bounded = frozenset(self._arms.keys() - bounded), frozenset(bounded)

    def checked(self, request: Request, now: int) -> Asked:
        """Raises InvalidEvent naming an unknown arm, a wrong feature, or an arm that cannot be chosen where no other
        can be."""
        self._encoder.validate_features(request.context, request.arm_context)
        if self._always.issuperset(request.arms):
            return Asked(request, request.arms)
        for arm in request.arms:
            if arm not in self._arms:
                raise InvalidEvent("arms", arm, f"an arm of release {self._number}")
        dropped = {a: why for a in request.arms if (why := self._why_not(a, now))}
        if len(dropped) == len(request.arms):
            arm, why = next(iter(dropped.items()))
            raise InvalidEvent("arms", arm, f"at least one arm that can be chosen now (this one: {why})")
        return Asked(_without(request, dropped), request.arms, dropped) if dropped else Asked(request, request.arms)

    def at(self, now: int) -> list[str]:
        """The arms that can be chosen at `now`."""
        return [arm for arm in self._arms if not self._why_not(arm, now)]

    def may_be(self, recorded: Sequence[str], asked: Asked) -> bool:
        """True if a decision among the arms `recorded` can be an earlier answer to this request. An arm that can be
        chosen at times only may have been among them or not."""
        if recorded == asked.request.arms:
            return True
        among = set(recorded)
        same = tuple(recorded) == tuple(arm for arm in asked.arms if arm in among)
        return same and self._bounded.issuperset(arm for arm in asked.arms if arm not in among)

    def _why_not(self, arm: str, now: int) -> str:
        return "" if arm in self._always else catalogue.why_not(self._arms[arm], now)


def _without(request: Request, dropped: dict[str, str]) -> Request:
    kept = [i for i, arm in enumerate(request.arms) if arm not in dropped]
    return Request(
        unit_id=request.unit_id,
        context=request.context,
        arms=tuple(request.arms[i] for i in kept),
        arm_context=tuple(request.arm_context[i] for i in kept) if request.arm_context else (),
        event_id=request.event_id,
    )
