"""Personalizer's rewards, of one event or of the slots of a page: those that come together are one write to disk.

An event that waits for its activation is activated by a reward that is taken; one that is refused shows nothing. Of
several slots all are good, or none is taken. A slot that its page lacks is refused, where the page is on record here:
nobody made the decision that its reward would wait for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from croupier.features import clock
from croupier.features.ids import hash_unit
from croupier.features.log import deferred
from croupier.features.schema import InvalidEvent
from croupier.serving.contract import rewards
from croupier.serving.contract.rewards import Outcome
from croupier.serving.embedded.embedded import Embedded
from croupier.serving.gateway.problems import CallProblem
from croupier.serving.gateway.ranking.pages import on_record

ONCE = "x-ms-client-request-id"  # tells a reward that is sent again from a second one of the same value


class GivenReward(NamedTuple):
    """What one event is given, and how its caller calls the event's id and the value."""

    event_id: str
    value: Any
    named: str = "eventId"
    valued: str = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardCall:
    """A call as it came; `read` makes of its body and event the events that it rewards. `reward_id` tells a second one
    of the same value from one that is sent again."""

    event_id: str
    body: Mapping[str, Any]
    reward_id: str
    read: Callable[[Mapping[str, Any], str], list[GivenReward]]


def of_event(body: Mapping[str, Any], event_id: str) -> list[GivenReward]:
    """Reads {"value"}, which is given to the event itself. Raises InvalidEvent."""
    if body.keys() != {"value"}:
        raise InvalidEvent("value", sorted(body)[:10], "an object of value alone")
    return [GivenReward(event_id, body["value"])]


class RewardDesk:
    """Takes rewards of one kind, the app's own for Personalizer. `since()`: what was deferred before has expired."""

    def __init__(self, embedded: Embedded, kind: str, since: Callable[[], int]) -> None:
        self._embedded, self._kind, self._since = embedded, kind, since

    def take(self, calls: Sequence[RewardCall]) -> list[CallProblem | None]:
        """What is wrong with each call, or None, in their order. Raises SpoolUnavailable."""
        found: list[CallProblem | None] = [None] * len(calls)
        rows: list[tuple[int, GivenReward, dict[str, Any]]] = []
        shown: list[str] = []
        for i, call in enumerate(calls):
            try:
                given = call.read(call.body, call.event_id)
                self._check_slots(call.event_id, given)
            except InvalidEvent as error:
                found[i] = CallProblem(400, str(error), field=error.field)
                continue
            mine = [(i, each, self._reward(call, each)) for each in given]
            wrong = [row for row in mine if not self._good(row[2])]
            shown += [] if wrong else [each.event_id for each in given]
            rows += wrong[:1] or mine  # the log keeps what was refused, too
        deferred.show(self._embedded.host.spool, shown, since=self._since())
        outcomes = self._embedded.reward_batch([reward for _, _, reward in rows])
        for (i, one, _), outcome in zip(rows, outcomes, strict=True):
            if outcome.status == rewards.REJECTED:
                names = {"event_id": one.named, "value": one.valued, "reward_id": ONCE}
                found[i] = CallProblem.of(outcome.error).renamed(names)
        return found

    def _check_slots(self, event_id: str, given: Sequence[GivenReward]) -> None:
        """Raises InvalidEvent for a slot that its page, which is on record, lacks. A page that a full log has thinned
        may have had any."""
        if all(each.event_id == event_id for each in given):
            return  # the event's own
        host = self._embedded.host
        unit = hash_unit(host.selector.unit_key, event_id)
        page = on_record(host.spool, event_id, unit=unit, since=self._since())
        if not page or any(d.pass_probability < 1 for d in page.values()):
            return
        for each in given:
            if (slot := each.event_id.removeprefix(f"{event_id}/")) not in page:
                error = InvalidEvent(each.named, slot, f"a slot of this page: {', '.join(page)[:400]}")
                host.rewards.keep_refused([Outcome(rewards.REJECTED, str(error))])
                raise error

    def _reward(self, call: RewardCall, given: GivenReward) -> dict[str, Any]:
        return {
            "event_id": given.event_id,
            "kind": self._kind,
            "value": given.value,
            "reward_id": call.reward_id,
        }

    def _good(self, reward: dict[str, Any]) -> bool:
        """Whether it will be taken."""
        admission = self._embedded.host.declared()
        try:
            found = rewards.decode(rewards.raw_reward(reward), clock.now_us())
            return admission is None or bool(admission.reward(found))
        except InvalidEvent:
            return False
