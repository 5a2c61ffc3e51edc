"""The client's side of slates: requests to tensors, replies to slates, and the slates that it decides by itself."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from croupier.features.schema import InvalidEvent
from croupier.serving.client.errors import Unavailable
from croupier.serving.client.messages import TensorColumns
from croupier.serving.contract import raw_slates
from croupier.serving.contract.inline_arms import ids
from croupier.serving.contract.raw_slates import RawSlate
from croupier.serving.contract.requests import Request, Selection
from croupier.serving.contract.slates import Slate, SlateRequest, decided, error_of, named

AT_ONCE = 64  # slates of one call: each has many slots
Part = Sequence[tuple[int, RawSlate]]
FallBack = Callable[[Sequence[int], Sequence[Request], Unavailable], Mapping[int, Selection]]


def encoded(asked: Sequence[SlateRequest]) -> tuple[dict[int, Slate], list[Part]]:
    """Answers to those that cannot be asked for, and the others as bytes, each with its position, call by call."""
    answers: dict[int, Slate] = {}
    rows: list[tuple[int, RawSlate]] = []
    for i, each in enumerate(asked):
        try:
            if error := error_of(each):
                answers[i] = Slate(slate_id=each.event_id, slots=(), error=error)
            else:
                rows.append((i, RawSlate.of(each)))
        except InvalidEvent as problem:
            answers[i] = Slate(slate_id=each.event_id, slots=(), error=str(problem))
    return answers, [rows[n : n + AT_ONCE] for n in range(0, len(rows), AT_ONCE)]


def columns(part: Part) -> TensorColumns:
    """The tensors of one call of `select_arm`."""
    names = ("unit_id", "context", "arms", "arm_context", "event_id", "whole_slate")
    return {name: ("BYTES", [getattr(raw, name) for _, raw in part]) for name in names}


def answers(reply: Mapping[str, list[Any]], part: Part, asked: Sequence[SlateRequest]) -> dict[int, Slate]:
    """The slates of a reply, by position. Raises Unavailable for a reply that answers something else."""
    try:
        rows = list(zip(part, *[reply[name] for name in ("event_id", "error", "slots")], strict=True))
        return {i: _slate(asked[i], *said) for (i, _), *said in rows}
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise Unavailable(f"reply: {problem}", reason="garbage") from None


def _slate(asked: SlateRequest, slate_id: str, error: str, slots: str) -> Slate:
    if error:
        return Slate(slate_id=slate_id, slots=(), error=error)
    found = raw_slates.from_json(slate_id, slots, asked)
    if not set(found.arms) <= set(ids(asked.arms)):
        raise ValueError(f"arms {found.arms}, which were not all asked for")
    return found


def settled(
    reply: Mapping[str, list[Any]] | Unavailable, part: Part, asked: Sequence[SlateRequest], fall_back: FallBack
) -> dict[int, Slate]:
    """The slates of a reply, by position; those that had no answer, and those that the server could not put on record,
    are decided here, slot after slot. Raises what `fall_back` does."""
    try:
        if isinstance(reply, Unavailable):
            raise reply
        found = answers(reply, part, asked)
    except Unavailable as error:
        return _alone([i for i, _ in part], asked, error, fall_back)
    if lost := [i for i, slate in found.items() if slate.error.startswith("log:")]:
        found |= _alone(lost, asked, Unavailable(found[lost[0]].error, reason="log"), fall_back)
    return found


def _alone(
    places: Sequence[int], asked: Sequence[SlateRequest], error: Unavailable, fall_back: FallBack
) -> dict[int, Slate]:
    def ask(requests: Sequence[Request]) -> list[Selection]:
        found = fall_back(range(len(requests)), requests, error)
        return [found[i] for i in range(len(requests))]

    return dict(zip(places, decided(ask, named([asked[i] for i in places])), strict=True))
