"""The client's side of the contract, apart from how and when it calls: requests to columns, replies to answers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from struct import error as struct_error
from typing import Any

import grpc
import orjson

from croupier.features.schema import InvalidEvent
from croupier.serving.client import fallback
from croupier.serving.contract import codec
from croupier.serving.contract.requests import CANARY, Raw, Request, Selection, utf8
from croupier.serving.contract.rewards import REJECTED, Outcome, RawReward

Columns = Mapping[str, tuple[str, Sequence[Any]]]
SELECT = ("unit_id", "context", "arms", "arm_context", "event_id")
FAILURES = (grpc.RpcError, ValueError, LookupError, TypeError, struct_error)  # no answer, or a reply that is none
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
    """Makes one ModelInfer call. Raises Unavailable for everything but a well-formed reply."""
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
    """Returns a selection without an arm that says why."""
    return Selection("", "", 0.0, (), 0, "", error)


def select_columns(raws: Sequence[Raw]) -> Columns:
    """Returns the tensors of requests for `select_arm`."""
    return {name: ("BYTES", [getattr(raw, name) for raw in raws]) for name in SELECT}


def selections(
    reply: Mapping[str, list[Any]], part: Sequence[tuple[int, Raw]], requests: Sequence[Request]
) -> dict[int, Selection]:
    """Returns the selections of a reply, by position. Raises Unavailable for a reply that answers something else."""
    try:
        columns = [reply[n] for n in ("event_id", "arm", "propensity", "pmf", "release", "role", "error")]
        columns.append(reply.get("dropped", [""] * len(part)))  # older servers do not say
        rows = list(zip(part, *columns, strict=True))
    except (KeyError, ValueError) as problem:
        raise Unavailable(f"reply: {problem}", reason="garbage") from None
    answers = {}
    for (i, _), event_id, arm, propensity, pmf, release, role, error, left in rows:
        arms = requests[i].arms
        if not error and (arm not in arms or not 0 < propensity <= 1):
            raise Unavailable(f"reply: arm {arm!r} with propensity {propensity}", reason="garbage")
        cut = (pmf if isinstance(pmf, tuple) else (pmf,))[: len(arms)]
        dropped = tuple(orjson.loads(left)) if left else ()
        chosen = Selection(event_id, arm, propensity, cut, release, role, dropped=dropped)
        answers[i] = refusal(error) if error else chosen
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


def encoded_rewards(rewards: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Outcome], list[tuple[int, RawReward]]]:
    """Outcomes of those that the wire cannot carry, and the others, each with its position."""
    outcomes: dict[int, Outcome] = {}
    rows: list[tuple[int, RawReward]] = []
    for i, reward in enumerate(rewards):
        try:
            rows.append((i, raw_reward(reward)))
        except InvalidEvent as error:
            outcomes[i] = Outcome(REJECTED, str(error))
    return outcomes, rows


def raw_reward(reward: Mapping[str, Any]) -> RawReward:
    """Raises InvalidEvent naming what the wire cannot carry."""
    at = reward.get("at") or 0
    if not isinstance(at, Integral) or not -(2**63) <= int(at) < 2**63:
        raise InvalidEvent("at", at, "UTC microseconds since 1970, or 0 for now")
    event_id, kind = utf8("event_id", reward.get("event_id")), utf8("kind", reward.get("kind"))
    unique = utf8("reward_id", reward.get("reward_id") or "")
    return RawReward(event_id, kind, _number(reward.get("value")), unique, int(at))


def reward_columns(rewards: Sequence[RawReward]) -> Columns:
    """Returns the tensors of rewards for `reward`."""
    columns: dict[str, tuple[str, Sequence[Any]]] = {
        name: ("BYTES", [getattr(r, name) for r in rewards]) for name in ("event_id", "kind", "reward_id")
    }
    return columns | {"value": ("FP64", [r.value for r in rewards]), "at": ("INT64", [r.at for r in rewards])}


def record_columns(records: Sequence[Mapping[str, Any]]) -> Columns:
    """Returns the tensors of a client's own decisions for `record`."""
    texts = ("unit_id", "context", "arms", "arm_context", "event_id", "arm", "reason")
    columns: dict[str, tuple[str, Sequence[Any]]] = {n: ("BYTES", [str(r[n]).encode() for r in records]) for n in texts}
    columns["pmf"] = ("BYTES", [str(r["pmf"]).encode() for r in records])
    columns["at"] = ("INT64", [int(r["at"]) for r in records])
    return columns


def outcomes(reply: Mapping[str, list[Any]], asked: Sequence[Any]) -> list[Outcome]:
    """Returns one outcome for each of those asked about. Raises Unavailable for a reply that answers something else."""
    try:
        return [Outcome(*pair) for _, *pair in zip(asked, reply["status"], reply["error"], strict=True)]
    except (KeyError, ValueError) as error:
        raise Unavailable(f"reply: {error}", reason="garbage") from None


def _number(value: object) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    raise InvalidEvent("value", value, "a finite number")
