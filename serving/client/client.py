"""What a product team imports: ask for an arm, and say what came of it. It always answers.

    client = Client("127.0.0.1:8001", outbox=Path("croupier-outbox.db"))
    chosen = client.select(unit_id="u7", context={"age": "20-30"}, arms=["a", "b", "c"])
    client.reward(event_id=chosen.event_id, kind="click", value=1.0)

Without an answer in time it draws from its fallback rule, with its true propensity, and puts that decision on record
once the server is back; so it does with rewards. After some failures it stops asking until a probe is answered.

    ClientError
    ├── Refused(…, ValueError)   the request breaks the contract: the message names the field
    └── Unavailable              no answer within the deadline, and `fallback=None`
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from croupier.serving.client import allocations, fallback, messages, slates
from croupier.serving.client.breaker import Breaker, Throttle
from croupier.serving.client.connection import Connection
from croupier.serving.client.delivery import Delivery
from croupier.serving.client.errors import Refused, Unavailable
from croupier.serving.client.messages import TensorColumns
from croupier.serving.client.outbox import Outbox
from croupier.serving.client.secure import Tls
from croupier.serving.contract.allocations import Allocated, AllocateRequest, RawAllocate
from croupier.serving.contract.inline_arms import AskedArm
from croupier.serving.contract.requests import Request, Selection
from croupier.serving.contract.rewards import Outcome, RawReward, encoded_rewards
from croupier.serving.contract.slates import Slate, SlateRequest

MAX_ROWS = 1024  # max_batch_size of the models
DELIVERY_MS = 5000.0
RESERVE_MS = 3.0  # of the deadline, for the fallback itself


class Client:
    """One connection, reused; threads may share it. `deadline_ms` is per call, batch or not, fallback included.
    `fallback` gives one probability per arm (default: uniform); None: raise Unavailable instead. `outbox` is a file
    that keeps what could not be delivered over a restart (default: in memory). `tls` and `token`: for a server that
    asks for them (secure.py); a token goes to another machine with TLS alone, else ValueError."""

    def __init__(
        self,
        url: str = "127.0.0.1:8001",
        *,
        deadline_ms: float = 50.0,
        fallback: fallback.Rule | None = fallback.uniform,
        outbox: Path | None = None,
        tls: Tls | None = None,
        token: str = "",
    ) -> None:
        self.url, self.deadline_ms, self._rule, self._file = url, deadline_ms, fallback, outbox
        self._tls, self._token = tls, token
        self._begin()

    def _begin(self) -> None:
        """Begins anew, also in a forked child, which has inherited no thread and may not use the parent's connections,
        nor close them: SQLite would take the file's locks from the parent."""
        self._inherited = vars(self).get("outbox"), vars(self).get("connection")
        self.connection = Connection(self.url, self._tls, self._token)
        self.breaker, self.throttle, self.outbox = Breaker(), Throttle(), Outbox(self._file)
        self._delivery = Delivery(self.breaker, self.outbox, probe=self.connection.probe, deliver=self._deliver)
        self._process, self._forking = os.getpid(), threading.Lock()
        if len(self.outbox):
            self._delivery.wake()

    def select(
        self,
        *,
        unit_id: str,
        context: Mapping[str, Any],
        arms: Sequence[AskedArm],
        arm_context: Sequence[Mapping[str, Any]] = (),
        event_id: str = "",
    ) -> Selection:
        """Selects one of `arms` for this unit: ids of the catalogue, or {"id", "features"} of arms that this request
        brings along; an empty list: of [retrieval]'s shortlist. Reward it by the answer's `event_id`. Raises Refused,
        naming the field."""
        request = Request(unit_id=unit_id, context=context, arms=arms, arm_context=arm_context, event_id=event_id)
        (selection,) = self.select_batch([request])
        if selection.error:
            raise Refused(selection.error)
        return selection

    def select_batch(self, requests: Sequence[Request]) -> list[Selection]:
        """Returns one selection a request, in order; a refused one carries its `error`, the others are served."""
        deadline = time.monotonic() + self.deadline_ms / 1000
        answers, rows = messages.encoded(requests)
        for start in range(0, len(rows), MAX_ROWS):
            part = rows[start : start + MAX_ROWS]
            try:
                reply = self._ask("select_arm", messages.select_columns([raw for _, raw in part]), deadline)
                answers |= messages.selections(reply, part, requests)
            except Unavailable as error:
                answers |= self.fall_back([i for i, _ in part], requests, error)
        return self.settled(answers, requests)

    def select_slate(
        self,
        *,
        unit_id: str,
        context: Mapping[str, Any],
        arms: Sequence[AskedArm],
        k: int = 0,
        slots: Sequence[Mapping[str, Any]] = (),
        arm_context: Sequence[Mapping[str, Any]] = (),
        event_id: str = "",
        minimums: Sequence[Mapping[str, Any]] = (),
    ) -> Slate:
        """Selects `k` of `arms`, in order, or one for each of `slots`, which are the features that each adds to the
        context; `minimums`: see SlateRequest. One call decides all slots; each is a decision, to be rewarded by its own
        event_id. All slots are on record, or none. Raises Refused, naming the field."""
        asked = SlateRequest(
            unit_id=unit_id, context=context, arms=arms, slots=slots, arm_context=arm_context, event_id=event_id, k=k
        )
        (slate,) = self.select_slates([replace(asked, minimums=minimums)])
        if slate.error:
            raise Refused(slate.error)
        return slate

    def select_slates(self, asked: Sequence[SlateRequest]) -> list[Slate]:
        """Returns one slate a request, in order; a refused one carries its `error`, the others are served."""
        deadline = time.monotonic() + self.deadline_ms / 1000
        found, parts = slates.encoded(asked)
        for part in parts:
            reply: dict[str, list[Any]] | Unavailable
            try:
                reply = self._ask("select_arm", slates.columns(part), deadline)
            except Unavailable as error:
                reply = error
            found |= slates.settled(reply, part, asked, self.fall_back)
        return [found[i] for i in range(len(asked))]

    def allocate(
        self,
        *,
        unit_id: str,
        items: Sequence[Mapping[str, Any]],
        total: float | None = None,
        context: Mapping[str, Any] | None = None,
        options: Sequence[AskedArm] | None = None,
        event_id: str = "",
    ) -> Allocated:
        """Gives each item an option, at a sum of costs within the total: see AllocateRequest. Raises Refused, naming a
        field; Unavailable where nobody answers and the request brings no costs or no total."""
        request = AllocateRequest(
            unit_id=unit_id, items=items, total=total, context=context, options=options, event_id=event_id
        )
        deadline, raw = time.monotonic() + self.deadline_ms / 1000, allocations.encoded(request)
        try:
            return allocations.answer(self._ask("select_arm", allocations.columns(raw), deadline), raw)
        except Unavailable as error:
            return self.allocate_alone(raw, error)

    def reward(self, *, event_id: str, kind: str, value: float, reward_id: str = "", at: int = 0) -> Outcome:
        """What came of a decision; `at` is UTC µs (0: now). Status accepted | duplicate | unknown_event or
        elsewhere (on record; its decision is not in the host's log) | queued (delivered later). Raises Refused naming
        the field."""
        reward = {"event_id": event_id, "kind": kind, "value": value, "reward_id": reward_id, "at": at}
        (outcome,) = self.reward_batch([reward])
        if outcome.error:
            raise Refused(outcome.error)
        return outcome

    def reward_batch(self, rewards: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Mappings of reward()'s arguments; one outcome each, a rejected one with its `error`."""
        deadline = time.monotonic() + self.deadline_ms / 1000
        outcomes, rows = encoded_rewards(rewards)
        for start in range(0, len(rows), MAX_ROWS):
            places, part = zip(*rows[start : start + MAX_ROWS], strict=True)
            try:
                found = messages.outcomes(self._ask("reward", messages.reward_columns(part), deadline), part)
                found = self.settled_rewards(found, part)
            except Unavailable as error:
                found = self.queue_rewards(part, error)
            outcomes |= dict(zip(places, found, strict=True))
        return [outcomes[i] for i in range(len(rewards))]

    def refusals(self) -> list[tuple[str, str]]:
        """Returns (record | reward, error) of what was queued and then refused by name, once each: the last
        thousand."""
        refused = self._delivery.refused
        return [refused.popleft() for _ in range(len(refused))]

    def flush(self, seconds: float = 10.0) -> bool:
        """Wait until everything owed has been delivered; False if that took too long."""
        end = time.monotonic() + seconds
        while len(self.outbox) and time.monotonic() < end:
            self._delivery.wake()
            time.sleep(0.02)
        return not len(self.outbox)

    def close(self) -> None:
        """What is still owed stays in the outbox's file."""
        self._delivery.stop()
        self.connection.close()
        self.outbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, model: str, columns: TensorColumns, *, timeout_ms: float | None = None) -> dict[str, list[Any]]:
        """The bare call: columns of (datatype, one value a row). Raises Unavailable with what gRPC said."""
        seconds = (self.deadline_ms if timeout_ms is None else timeout_ms) / 1000
        return self.connection.call(model, columns, seconds)

    def _ask(self, model: str, columns: TensorColumns, deadline: float) -> dict[str, list[Any]]:
        """A user's call: not at all while the breaker is open, and its failures are counted."""
        self.refuse_if_hopeless()
        sent = time.monotonic()
        try:
            reply = self.call(model, columns, timeout_ms=max(1.0, (deadline - sent) * 1000 - RESERVE_MS))
        except Unavailable:
            self.failed(sent)
            raise
        self.succeeded()
        return reply

    # What the asyncio client shares.
    def refuse_if_hopeless(self) -> None:
        """Raises Unavailable while the breaker is open, and for the share of calls that an overloaded server would not
        answer in time."""
        if self._process != os.getpid():
            self._forked()
        if self.breaker.is_open:
            raise Unavailable("no answer lately: the breaker is open", reason="breaker")
        if self.throttle.holds_back():
            raise Unavailable("too many calls had no answer: this one is held back", reason="overload")

    def _forked(self) -> None:
        with self._forking:
            if self._process != os.getpid():
                self._begin()

    def succeeded(self) -> None:
        """A call had its answer."""
        self.breaker.succeeded()
        self.throttle.answered()

    def failed(self, sent_at: float) -> None:
        """A call had no answer: count it, and see to it that somebody finds out when the server is back."""
        self.breaker.failed(sent_at)
        self.throttle.failed()
        self._delivery.wake()

    def fall_back(self, rows: Sequence[int], requests: Sequence[Request], error: Unavailable) -> dict[int, Selection]:
        """Decisions of the client's own, by position; their records wait in the outbox. Re-raises without a rule."""
        if self._rule is None:
            raise error
        answers, records = messages.fallbacks(rows, requests, error.reason, self._rule)
        self.outbox.put("record", records)
        self._delivery.wake()
        return answers

    def allocate_alone(self, raw: RawAllocate, error: Unavailable) -> Allocated:
        """A feasible allocation of the client's own; its records wait in the outbox. Re-raises without a rule."""
        if self._rule is None:
            raise error
        found, records = allocations.alone(raw, error)
        self.outbox.put("record", records)
        self._delivery.wake()
        return found

    def settled(self, answers: dict[int, Selection], requests: Sequence[Request]) -> list[Selection]:
        """In order; what the server decided but could not put on record is decided here instead."""
        lost = [i for i, answer in answers.items() if answer.error.startswith("log:")]
        if lost:
            answers |= self.fall_back(lost, requests, Unavailable(answers[lost[0]].error, reason="log"))
        return [answers[i] for i in range(len(requests))]

    def settled_rewards(self, outcomes: Sequence[Outcome], rewards: Sequence[RawReward]) -> list[Outcome]:
        """What the server could not put on record waits in the outbox."""
        return [
            self.queue_rewards([reward], Unavailable(outcome.error, reason="log"))[0]
            if outcome.error.startswith("log:")
            else outcome
            for outcome, reward in zip(outcomes, rewards, strict=True)
        ]

    def queue_rewards(self, rewards: Sequence[RawReward], error: Unavailable) -> list[Outcome]:
        """Rewards that had no answer wait in the outbox. Re-raises without a fallback rule."""
        if self._rule is None:
            raise error
        found = [messages.queued(reward) for reward in rewards]
        self.outbox.put("reward", [row for _, row in found if row])
        self._delivery.wake()
        return [outcome for outcome, _ in found]

    def _deliver(self, model: str, rows: Sequence[dict[str, Any]]) -> list[str]:
        reply = self.call(model, messages.owed_columns(model, rows), timeout_ms=DELIVERY_MS)
        return [outcome.error for outcome in messages.outcomes(reply, rows)]
