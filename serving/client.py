"""What a product team imports: ask for an arm, and say what came of it.

    client = Client("127.0.0.1:8001")
    chosen = client.select(unit_id="u7", context={"age": "20-30"}, arms=["a", "b", "c"])
    client.reward(event_id=chosen.event_id, kind="click", value=1.0)

    ClientError
    ├── Refused(…, ValueError)   the request breaks the contract: the message names the field
    └── Unavailable              no answer within the deadline
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import grpc
from tritonclient.grpc import service_pb2_grpc

from features.schema import InvalidEvent
from serving import codec
from serving.requests import Raw, Request, Selection
from serving.rewards import Outcome

MAX_ROWS = 1024  # max_batch_size of both models
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class ClientError(RuntimeError):
    """Any failure of a call."""


class Refused(ClientError, ValueError):
    """The server (or the client, before sending) found a field that breaks the contract."""


class Unavailable(ClientError):
    """No answer: the server is down, out of reach, or slower than the deadline."""


class Client:
    """One connection, reused; threads may share it. `deadline_ms` is per call, batch or not."""

    def __init__(self, url: str = "127.0.0.1:8001", *, deadline_ms: float = 50.0) -> None:
        self.url, self.deadline_ms = url, deadline_ms
        self._channel = grpc.insecure_channel(url, options=_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def select(
        self, *, unit_id: str, context: Mapping[str, Any], arms: Sequence[str],
        arm_context: Sequence[Mapping[str, Any]] = (), event_id: str = "",
    ) -> Selection:  # fmt: skip
        """One of `arms` for this unit. Raises Refused or Unavailable."""
        request = Request(unit_id=unit_id, context=context, arms=arms, arm_context=arm_context, event_id=event_id)
        (selection,) = self.select_batch([request])
        if selection.error:
            raise Refused(selection.error)
        return selection

    def select_batch(self, requests: Sequence[Request]) -> list[Selection]:
        """One selection a request, in order; a refused one carries its `error`, the others are served."""
        answers: list[Selection | None] = [None] * len(requests)
        rows: list[tuple[int, Raw]] = []
        for i, request in enumerate(requests):
            try:
                rows.append((i, Raw.of(request)))
            except InvalidEvent as error:
                answers[i] = Selection("", "", 0.0, (), 0, "", str(error))
        for start in range(0, len(rows), MAX_ROWS):
            part = rows[start : start + MAX_ROWS]
            for (i, _), selection in zip(part, self._select([raw for _, raw in part]), strict=True):
                answers[i] = _cut(selection, len(requests[i].arms))
        return [a for a in answers if a is not None]

    def reward(self, *, event_id: str, kind: str, value: float, reward_id: str = "", at: int = 0) -> Outcome:
        """What came of a decision; `at` is UTC µs (0: now). Raises Refused naming the field, or Unavailable."""
        reward = {"event_id": event_id, "kind": kind, "value": value, "reward_id": reward_id, "at": at}
        (outcome,) = self.reward_batch([reward])
        if outcome.error:
            raise Refused(outcome.error)
        return outcome

    def reward_batch(self, rewards: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Mappings of reward()'s arguments; one outcome each, a rejected one with its `error`."""
        outcomes: list[Outcome] = []
        for start in range(0, len(rewards), MAX_ROWS):
            part = rewards[start : start + MAX_ROWS]
            columns: dict[str, tuple[str, Sequence[Any]]] = {
                "event_id": ("BYTES", [str(r["event_id"]).encode() for r in part]),
                "kind": ("BYTES", [str(r["kind"]).encode() for r in part]),
                "value": ("FP64", [_number(r["value"]) for r in part]),
                "reward_id": ("BYTES", [str(r.get("reward_id", "")).encode() for r in part]),
                "at": ("INT64", [int(r.get("at", 0)) for r in part]),
            }
            reply = self.call("reward", columns)
            outcomes += [Outcome(*pair) for pair in zip(reply["status"], reply["error"], strict=True)]
        return outcomes

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _select(self, raws: Sequence[Raw]) -> list[Selection]:
        columns = {
            name: ("BYTES", [getattr(raw, name) for raw in raws])
            for name in ("unit_id", "context", "arms", "arm_context", "event_id")
        }
        reply = self.call("select_arm", columns)
        names = ("event_id", "arm", "propensity", "pmf", "release", "role", "error")
        return [Selection(*row) for row in zip(*(reply[name] for name in names), strict=True)]

    def call(self, model: str, columns: Mapping[str, tuple[str, Sequence[Any]]]) -> dict[str, list[Any]]:
        """The bare call: columns of (datatype, one value a row). Raises Unavailable with what gRPC said."""
        try:
            reply = self._stub.ModelInfer(codec.infer_request(model, columns), timeout=self.deadline_ms / 1000)
        except grpc.RpcError as error:
            raise Unavailable(f"{self.url}: {error.code().name}: {error.details()}") from None
        return codec.infer_response(reply)


def _cut(selection: Selection, arms: int) -> Selection:
    """The tensor's rows are padded to the longest candidate list of the batch."""
    pmf = selection.pmf if isinstance(selection.pmf, tuple) else (selection.pmf,)
    return Selection(
        selection.event_id, selection.arm, selection.propensity, pmf[:arms] if selection.arm else (),
        selection.release, selection.role, selection.error,
    )  # fmt: skip


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(str(InvalidEvent("value", value, "a finite number")))
    return float(value)
