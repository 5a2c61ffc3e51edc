"""What the client decides by itself when no answer comes in time: uniform over the candidates, or a rule of yours,
with its true propensity, and everything the log needs to learn from it later."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from croupier.features.clock import now_us
from croupier.features.ids import uuid7
from croupier.features.schema import FALLBACK, InvalidEvent
from croupier.serving.contract.requests import Raw, Request, Selection, decode

Rule = Callable[[Request], Sequence[float]]


def uniform(request: Request) -> list[float]:
    """1/K for each of the K candidates."""
    return [1.0 / len(request.arms)] * len(request.arms)


def decide(request: Request, reason: str, rule: Rule = uniform) -> tuple[Selection, dict[str, Any]]:
    """The selection, and its record for the `record` model. The event gets a new id: under the old one the server may
    yet log a decision that nobody was shown. Raises InvalidEvent when the request itself is wrong."""
    raw = Raw.of(request)
    arms = decode(raw).arms
    pmf = [float(p) for p in rule(request)]
    if len(pmf) != len(request.arms) or min(pmf) < 0 or not abs(sum(pmf) - 1) <= 1e-9:  # NaN is not
        raise InvalidEvent("fallback", pmf, "a rule that gives one probability per arm, summing to 1")
    event_id = uuid7()
    reason = f"{reason}; asked as {request.event_id}" if request.event_id else reason
    arm = random.choices(range(len(pmf)), pmf)[0]
    chosen = Selection(event_id, arms[arm], pmf[arm], tuple(pmf), 0, FALLBACK)
    record = {
        "unit_id": request.unit_id, "context": raw.context.decode(), "arms": raw.arms.decode(),
        "arm_context": raw.arm_context.decode(), "event_id": event_id, "arm": chosen.arm, "pmf": pmf,
        "at": now_us(), "reason": reason,
    }  # fmt: skip
    return chosen, record
