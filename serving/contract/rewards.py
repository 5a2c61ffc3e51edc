"""A reward as a caller sends it, and what became of it: serving/decide/rewards.py decides that."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from typing import Any

from croupier.features.log.refusals import NotAdmitted, timely
from croupier.features.log.spool_rows import NOT_FINITE, UNTIMELY
from croupier.features.schema import InvalidEvent, Reward
from croupier.features.utc import YEAR_2100
from croupier.serving.contract.requests import identifier, utf8

ACCEPTED, DUPLICATE, REJECTED = "accepted", "duplicate", "rejected"
ELSEWHERE, UNKNOWN_EVENT = "elsewhere", "unknown_event"  # its decision is not in this host's log


@dataclass(frozen=True, slots=True)
class RawReward:
    """A reward as it came over the wire. `at` is UTC µs; 0: now."""

    event_id: bytes
    kind: bytes
    value: float
    reward_id: bytes = b""
    at: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """accepted | unknown_event | elsewhere | duplicate | rejected, with `error`.

    `unknown_event`: on record, and the decision is not in this host's log: the reward counts once it arrives.
    `elsewhere`: the same of a host that knows of others (CROUPIER_REDIS), one of which made the decision.

    `reason`: the word under which a refusal is counted, where it has one; it stays with the server."""

    status: str
    error: str = ""
    reason: str = ""


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


def decode(raw: RawReward, now: int) -> Reward:
    """Raises InvalidEvent naming the field: what no app's reward can be."""
    if not isfinite(raw.value):
        raise NotAdmitted("value", raw.value, "a finite number (send nothing rather than NaN)", reason=NOT_FINITE)
    if not 0 <= raw.at < YEAR_2100:
        raise NotAdmitted("at", raw.at, "UTC microseconds since 1970, or 0 for now", reason=UNTIMELY)
    timely(raw.at or now, now)
    return Reward(  # -0.0 + 0.0 is 0.0: equal values are one reward
        event_id=identifier("event_id", raw.event_id),
        at=raw.at or now,
        kind=identifier("kind", raw.kind),
        value=float(raw.value) + 0.0,
        reward_id=identifier("reward_id", raw.reward_id) if raw.reward_id else "",
    )


def _number(value: object) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    raise InvalidEvent("value", value, "a finite number")
