"""Personalizer's rewards, of one event or of the slots of a page: those that come together are one write to disk.

An event that waits for its activation is activated by a reward that is taken; one that is refused shows nothing. Of
several slots all are good, or none is taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from croupier.features import clock
from croupier.features.log import deferred
from croupier.features.schema import InvalidEvent
from croupier.serving.contract import rewards
from croupier.serving.embedded.embedded import Embedded
from croupier.serving.gateway.problems import CallProblem

Values = list[tuple[str, Any]]  # events, and what each is worth


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardCall:
    """A call as it came; `read` makes of its body and event the events that it rewards. `reward_id` tells a second one
    of the same value from one that is sent again."""

    event_id: str
    body: Mapping[str, Any]
    reward_id: str
    read: Callable[[Mapping[str, Any], str], Values]


def of_event(body: Mapping[str, Any], event_id: str) -> Values:
    """Of {"value"}. Raises InvalidEvent."""
    if body.keys() != {"value"}:
        raise InvalidEvent("value", sorted(body)[:10], "an object of value alone")
    return [(event_id, body["value"])]


class RewardDesk:
    """Takes rewards of one kind, the app's own for Personalizer. `since()`: what was deferred before has expired."""

    def __init__(self, embedded: Embedded, kind: str, since: Callable[[], int]) -> None:
        self._embedded, self._kind, self._since = embedded, kind, since

    def take(self, calls: Sequence[RewardCall]) -> list[CallProblem | None]:
        """What is wrong with each call, or None, in their order. Raises SpoolUnavailable."""
        found: list[CallProblem | None] = [None] * len(calls)
        rows: list[tuple[int, dict[str, Any]]] = []
        shown: list[str] = []
        for i, call in enumerate(calls):
            try:
                mine = [self._reward(call, event, value) for event, value in call.read(call.body, call.event_id)]
            except InvalidEvent as error:
                found[i] = CallProblem(400, str(error), field=error.field)
                continue
            wrong = [each for each in mine if not self._good(each)]
            shown += [] if wrong else [each["event_id"] for each in mine]
            rows += [(i, each) for each in (wrong[:1] or mine)]  # the log keeps what was refused, too
        deferred.show(self._embedded.host.spool, shown, since=self._since())
        outcomes = self._embedded.reward_batch([row for _, row in rows])
        for (i, _), outcome in zip(rows, outcomes, strict=True):
            if outcome.status == rewards.REJECTED:
                found[i] = CallProblem.of(outcome.error)
        return found

    def _reward(self, call: RewardCall, event_id: str, value: object) -> dict[str, Any]:
        return {"event_id": event_id, "kind": self._kind, "value": value, "reward_id": call.reward_id}

    def _good(self, reward: dict[str, Any]) -> bool:
        """Whether it will be taken."""
        admission = self._embedded.host.declared()
        try:
            found = rewards.decode(rewards.raw_reward(reward), clock.now_us())
            return admission is None or bool(admission.reward(found))
        except InvalidEvent:
            return False
