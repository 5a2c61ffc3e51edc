"""The client's side of the contract, apart from how and when it calls: requests to columns, replies to answers."""

from collections.abc import Callable, Mapping, Sequence
from struct import error as struct_error
from typing import Any

import grpc
import orjson

from croupier.features.clock import now_us
from croupier.features.schema import InvalidEvent
from croupier.serving.client import fallback
from croupier.serving.client.errors import Unavailable
from croupier.serving.contract import codec
from croupier.serving.contract.inline_arms import ids
from croupier.serving.contract.requests import CANARY, Raw, Request, Selection
from croupier.serving.contract.rewards import REJECTED, Outcome, RawReward, decode, raw_reward

QUEUED = "queued"
TensorColumns = Mapping[str, tuple[str, Sequence[Any]]]
SELECT = ("unit_id", "context", "arms", "arm_context", "event_id")
FAILURES = (grpc.RpcError, ValueError, LookupError, TypeError, struct_error)  # no answer, or a reply that is none
CANARY_COLUMNS: TensorColumns = {n: ("BYTES", [CANARY.encode() if n == "unit_id" else b""]) for n in SELECT}


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


def select_columns(raws: Sequence[Raw]) -> TensorColumns:
    """Returns the tensors of requests for `select_arm`; servers of before slates' minimums know nothing of `slate`."""
    names = (*SELECT, "slate") if any(raw.slate for raw in raws) else SELECT
    return {name: ("BYTES", [getattr(raw, name) for raw in raws]) for name in names}


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
        arms = ids(requests[i].arms)  # none: the server retrieves them
        if not error and (arm not in (arms or (arm,)) or not 0 < propensity <= 1):
            raise Unavailable(f"reply: arm {arm!r} with propensity {propensity}", reason="garbage")
        cut = (pmf if isinstance(pmf, tuple) else (pmf,))[: len(arms) or None]
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


def reward_columns(rewards: Sequence[RawReward]) -> TensorColumns:
    """Returns the tensors of rewards for `reward`."""
    columns: dict[str, tuple[str, Sequence[Any]]] = {
        name: ("BYTES", [getattr(r, name) for r in rewards]) for name in ("event_id", "kind", "reward_id")
    }
    return columns | {"value": ("FP64", [r.value for r in rewards]), "at": ("INT64", [r.at for r in rewards])}


def record_columns(records: Sequence[Mapping[str, Any]]) -> TensorColumns:
    """Returns the tensors of a client's own decisions for `record`."""
    texts = ("unit_id", "context", "arms", "arm_context", "event_id", "arm", "reason")
    columns: dict[str, tuple[str, Sequence[Any]]] = {n: ("BYTES", [str(r[n]).encode() for r in records]) for n in texts}
    columns["pmf"] = ("BYTES", [str(r["pmf"]).encode() for r in records])
    columns["at"] = ("INT64", [int(r["at"]) for r in records])
    if any(r.get("allocation") for r in records):  # a server that is asked to allocate knows it
        columns["allocation"] = ("BYTES", [str(r.get("allocation", "")).encode() for r in records])
    return columns


def outcomes(reply: Mapping[str, list[Any]], asked: Sequence[Any]) -> list[Outcome]:
    """Returns one outcome for each of those asked about. Raises Unavailable for a reply that answers something else."""
    try:
        return [Outcome(*pair) for _, *pair in zip(asked, reply["status"], reply["error"], strict=True)]
    except (KeyError, ValueError) as error:
        raise Unavailable(f"reply: {error}", reason="garbage") from None


def owed_columns(model: str, rows: Sequence[Mapping[str, Any]]) -> TensorColumns:
    """Returns the tensors of what waited in the outbox for `model`, which is record or reward."""
    return record_columns(rows) if model == "record" else reward_columns([raw_reward(row) for row in rows])


def queued(reward: RawReward) -> tuple[Outcome, dict[str, Any] | None]:
    """What becomes of a reward that nobody answered: its row for the outbox, unless it breaks the contract."""
    try:
        return Outcome(QUEUED), decode(reward, now_us()).to_row()
    except InvalidEvent as error:
        return Outcome(REJECTED, str(error)), None
