"""The client for asyncio: the same calls, awaited. Breaker, fallback, outbox and deliveries are those of `Client`."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import grpc
import grpc.aio

from croupier.features.schema import InvalidEvent
from croupier.serving.client import allocations, messages, slates
from croupier.serving.client.client import MAX_ROWS, RESERVE_MS, Client
from croupier.serving.client.errors import Refused, Unavailable
from croupier.serving.client.messages import TensorColumns
from croupier.serving.contract import codec
from croupier.serving.contract.allocations import Allocated, AllocateRequest
from croupier.serving.contract.inline_arms import AskedArm
from croupier.serving.contract.requests import Request, Selection
from croupier.serving.contract.rewards import Outcome, raw_reward
from croupier.serving.contract.slates import Slate, SlateRequest


class AsyncClient:
    """Arguments are those of `Client`. Belongs to one event loop."""

    def __init__(self, url: str = "127.0.0.1:8001", **options: Any) -> None:
        self._client = Client(url, **options)
        self._generation = -1
        self._channel: Any = None

    async def select(
        self,
        *,
        unit_id: str,
        context: Mapping[str, Any],
        arms: Sequence[AskedArm],
        arm_context: Sequence[Mapping[str, Any]] = (),
        event_id: str = "",
    ) -> Selection:
        """See Client.select."""
        request = Request(unit_id=unit_id, context=context, arms=arms, arm_context=arm_context, event_id=event_id)
        (selection,) = await self.select_batch([request])
        if selection.error:
            raise Refused(selection.error)
        return selection

    async def select_batch(self, requests: Sequence[Request]) -> list[Selection]:
        """See Client.select_batch."""
        deadline = time.monotonic() + self._client.deadline_ms / 1000
        answers, rows = messages.encoded(requests)
        for start in range(0, len(rows), MAX_ROWS):
            part = rows[start : start + MAX_ROWS]
            try:
                reply = await self._ask("select_arm", messages.select_columns([raw for _, raw in part]), deadline)
                answers |= messages.selections(reply, part, requests)
            except Unavailable as error:
                answers |= self._client.fall_back([i for i, _ in part], requests, error)
        return self._client.settled(answers, requests)

    async def select_slate(
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
        """See Client.select_slate."""
        asked = SlateRequest(
            unit_id=unit_id,
            context=context,
            arms=arms,
            slots=slots,
            arm_context=arm_context,
            event_id=event_id,
            k=k,
            minimums=minimums,
        )
        (slate,) = await self.select_slates([asked])
        if slate.error:
            raise Refused(slate.error)
        return slate

    async def select_slates(self, asked: Sequence[SlateRequest]) -> list[Slate]:
        """See Client.select_slates."""
        deadline = time.monotonic() + self._client.deadline_ms / 1000
        found, parts = slates.encoded(asked)
        for part in parts:
            reply: dict[str, list[Any]] | Unavailable
            try:
                reply = await self._ask("select_arm", slates.columns(part), deadline)
            except Unavailable as error:
                reply = error
            found |= slates.settled(reply, part, asked, self._client.fall_back)
        return [found[i] for i in range(len(asked))]

    async def allocate(
        self,
        *,
        unit_id: str,
        items: Sequence[Mapping[str, Any]],
        total: float | None = None,
        context: Mapping[str, Any] | None = None,
        options: Sequence[AskedArm] | None = None,
        event_id: str = "",
    ) -> Allocated:
        """See Client.allocate."""
        request = AllocateRequest(
            unit_id=unit_id, items=items, total=total, context=context, options=options, event_id=event_id
        )
        raw, deadline = allocations.encoded(request), time.monotonic() + self._client.deadline_ms / 1000
        try:
            return allocations.answer(await self._ask("select_arm", allocations.columns(raw), deadline), raw)
        except Unavailable as error:
            return self._client.allocate_alone(raw, error)

    def refusals(self) -> list[tuple[str, str]]:
        """See Client.refusals."""
        return self._client.refusals()

    async def reward(self, *, event_id: str, kind: str, value: float, reward_id: str = "", at: int = 0) -> Outcome:
        """See Client.reward."""
        reward = {"event_id": event_id, "kind": kind, "value": value, "reward_id": reward_id, "at": at}
        deadline = time.monotonic() + self._client.deadline_ms / 1000
        try:
            raws = [raw_reward(reward)]
        except InvalidEvent as error:
            raise Refused(str(error)) from None
        try:
            found = messages.outcomes(await self._ask("reward", messages.reward_columns(raws), deadline), raws)
            (outcome,) = self._client.settled_rewards(found, raws)
        except Unavailable as error:
            (outcome,) = self._client.queue_rewards(raws, error)
        if outcome.error:
            raise Refused(outcome.error)
        return outcome

    async def close(self) -> None:
        """Closes the connections."""
        if self._channel is not None:
            await self._channel.close()
        self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, model: str, columns: TensorColumns, deadline: float) -> dict[str, list[Any]]:
        self._client.refuse_if_hopeless()
        if self._generation != self._client.connection.generation:  # the server came back: so does the connection
            old, self._generation = self._channel, self._client.connection.generation
            self._channel, self._infer = self._client.connection.open_aio()
            if old is not None:  # last: other tasks go on meanwhile
                await old.close()
        sent = time.monotonic()
        try:
            seconds = max(0.001, deadline - sent - RESERVE_MS / 1000)
            reply = codec.infer_response(await self._infer(codec.infer_request(model, columns), timeout=seconds))
        except (*messages.FAILURES, grpc.aio.UsageError) as error:
            self._client.failed(sent)
            raise messages.unavailable(self._client.url, error) from None
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise  # the caller's own wish
            raise Unavailable("the connection was closed meanwhile", reason="closed") from None
        self._client.succeeded()
        return reply
