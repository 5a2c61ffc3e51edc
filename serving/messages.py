"""The client's side of the contract, apart from how and when it calls: requests to columns, replies to answers."""

from collections.abc import Callable, Mapping, Sequence
from struct import error as struct_error
from typing import Any

import grpc

from features.schema import InvalidEvent
from serving import codec, fallback
from serving.requests import CANARY, Raw, Request, Selection
from serving.rewards import Outcome

Columns = Mapping[str, tuple[str, Sequence[Any]]]
SELECT = ("unit_id", "context", "arms", "arm_context", "event_id")
FAILURES = (grpc.RpcError, ValueError, KeyError, TypeError, struct_error)  # no answer, or a reply that is none
CANARY_COLUMNS: Columns = {n: ("BYTES", [CANARY.encode() if n == "unit_id" else b""]) for n in SELECT}


class ClientError(RuntimeError):
    """Any failure of a call."""


class Refused(ClientError, ValueError):
    """The server (or the client, before sending) found a field that breaks the contract."""


class Unavailable(ClientError):
    """No usable answer: the server is down, out of reach, slower than the deadline, or talks nonsense."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def call(infer: Callable[..., Any], url: str, request: Any, seconds: float) -> dict[str, list[Any]]:
    """One ModelInfer. Raises Unavailable for everything but a well-formed reply."""
    try:
        return codec.infer_response(infer(request, timeout=seconds))
    except FAILURES as error:
        raise unavailable(url, error) from None


def unavailable(url: str, error: Any) -> Unavailable:
    """What a failed call was, in one word for the log and a sentence for people."""
    if isinstance(error, grpc.RpcError):
        return Unavailable(f"{url}: {error.code().name}: {error.details()}", reason=error.code().name.lower())
    return Unavailable(f"{url}: {error}", reason="garbage")


def encoded(requests: Sequence[Request]) -> tuple[dict[int, Selection], list[tuple[int, Raw]]]:
    """Answers to those that JSON cannot carry, and the others as bytes, each with its position."""
    answers: dict[int, Selection] = {}
    rows: list[tuple[int, Raw]] = []
    for i, request in enumerate(requests):
        try:
            rows.append((i, Raw.of(request)))
        except InvalidEvent as error:
            answers[i] = refusal(str(error))
    return answers, rows


def refusal(error: str) -> Selection:
    return Selection("", "", 0.0, (), 0, "", error)


def select_columns(raws: Sequence[Raw]) -> Columns:
    return {name: ("BYTES", [getattr(raw, name) for raw in raws]) for name in SELECT}


def selections(
    reply: Mapping[str, list[Any]], part: Sequence[tuple[int, Raw]], requests: Sequence[Request]
) -> dict[int, Selection]:
    """By position. Raises Unavailable for a reply that answers something else."""
    try:
        columns = [reply[n] for n in ("event_id", "arm", "propensity", "pmf", "release", "role", "error")]
        rows = list(zip(part, *columns, strict=True))
    except (KeyError, ValueError) as problem:
        raise Unavailable(f"reply: {problem}", reason="garbage") from None
    answers = {}
    for (i, _), event_id, arm, propensity, pmf, release, role, error in rows:
        arms = requests[i].arms
        if not error and (arm not in arms or not 0 < propensity <= 1):
            raise Unavailable(f"reply: arm {arm!r} with propensity {propensity}", reason="garbage")
        cut = (pmf if isinstance(pmf, tuple) else (pmf,))[: len(arms)]
        answers[i] = refusal(error) if error else Selection(event_id, arm, propensity, cut, release, role)
    return answers


def fallbacks(
    rows: Sequence[int], requests: Sequence[Request], reason: str, rule: fallback.Rule
) -> tuple[dict[int, Selection], list[dict[str, Any]]]:
    """Decisions of the client's own, by position, and their records."""
    answers: dict[int, Selection] = {}
    records = []
    for i in rows:
        try:
            answers[i], record = fallback.decide(requests[i], reason, rule)
            records.append(record)
        except InvalidEvent as error:
            answers[i] = refusal(str(error))
    return answers, records


def reward_columns(rewards: Sequence[Mapping[str, Any]]) -> Columns:
    return {
        "event_id": ("BYTES", [str(r["event_id"]).encode() for r in rewards]),
        "kind": ("BYTES", [str(r["kind"]).encode() for r in rewards]),
        "value": ("FP64", [_number(r["value"]) for r in rewards]),
        "reward_id": ("BYTES", [str(r.get("reward_id", "")).encode() for r in rewards]),
        "at": ("INT64", [int(r.get("at", 0)) for r in rewards]),
    }


def record_columns(records: Sequence[Mapping[str, Any]]) -> Columns:
    texts = ("unit_id", "context", "arms", "arm_context", "event_id", "arm", "reason")
    columns: dict[str, tuple[str, Sequence[Any]]] = {n: ("BYTES", [str(r[n]).encode() for r in records]) for n in texts}
    columns["pmf"] = ("BYTES", [str(r["pmf"]).encode() for r in records])
    columns["at"] = ("INT64", [int(r["at"]) for r in records])
    return columns


def outcomes(reply: Mapping[str, list[Any]]) -> list[Outcome]:
    try:
        return [Outcome(*pair) for pair in zip(reply["status"], reply["error"], strict=True)]
    except (KeyError, ValueError) as error:
        raise Unavailable(f"reply: {error}", reason="garbage") from None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(str(InvalidEvent("value", value, "a finite number")))
    return float(value)
