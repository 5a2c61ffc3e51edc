"""Decisions made elsewhere, put on record: a client's fallbacks, sent once the server is back.

They pass the same guard as a request, and their pmf is checked: an invented propensity would poison every estimate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from features.clock import now_us
from features.ids import hash_unit
from features.partitions import YEAR_2100
from features.schema import Decision, InvalidEvent
from features.spool_file import SpoolUnavailable
from serving.requests import FALLBACK, Raw, Request, decode, dump
from serving.rewards import ACCEPTED, DUPLICATE, REJECTED, Outcome


class Recorder(Protocol):
    """What writing decisions needs of features.spool.Spool."""

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision]: ...
    def append_rejects(self, rejects: Sequence[tuple[str, str, bytes, str, int]]) -> None: ...


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A decision as it came over the wire; `pmf` is a JSON list over `arms`, `at` UTC µs."""

    unit_id: bytes
    context: bytes
    arms: bytes
    arm_context: bytes
    event_id: bytes
    arm: bytes
    pmf: bytes
    at: int
    reason: bytes


class Records:
    """Takes them in; what is accepted is on record when `take` returns."""

    def __init__(
        self, log: Recorder, *, unit_key: str, guard: Callable[[Request], object] | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:  # fmt: skip
        """`guard(request)` raises InvalidEvent for features and arms that the present release does not know."""
        self._log, self._unit_key, self._guard, self._clock = log, unit_key, guard, clock

    def take(self, raws: Sequence[RawRecord]) -> list[Outcome]:
        """accepted | duplicate | rejected, one each, in order."""
        outcomes: list[Outcome | Decision] = []
        rejects = []
        for raw in raws:
            try:
                outcomes.append(self._decision(raw))
            except InvalidEvent as error:
                outcomes.append(Outcome(REJECTED, str(error)))
                rejects.append(("decision", error.field, raw.event_id[:256], str(error), self._clock()))
        good = [o for o in outcomes if isinstance(o, Decision)]
        try:
            if rejects:
                self._log.append_rejects(rejects)
            stored = iter(self._log.append_decisions(good) if good else [])
        except SpoolUnavailable as error:
            return [Outcome(REJECTED, f"log: {error}; send it again")] * len(raws)
        return [Outcome(_fate(next(stored), o)) if isinstance(o, Decision) else o for o in outcomes]


    def _decision(self, raw: RawRecord) -> Decision:
        request = decode(Raw(raw.unit_id, raw.context, raw.arms, raw.arm_context, raw.event_id))
        if self._guard is not None:
            self._guard(request)
        return decision(raw, request, self._unit_key)


def decision(raw: RawRecord, request: Request, unit_key: str) -> Decision:
    """Raises InvalidEvent naming the field."""
    if not request.event_id:
        raise InvalidEvent("event_id", "", "the id the client gave this decision")
    pmf = _pmf(raw.pmf, len(request.arms))
    arm = raw.arm.decode(errors="replace")
    if arm not in request.arms or pmf[request.arms.index(arm)] <= 0:
        raise InvalidEvent("arm", arm, "one of arms, with a positive probability")
    if not 0 < raw.at < YEAR_2100:
        raise InvalidEvent("at", raw.at, "UTC microseconds since 1970")
    dump("context", {"context": request.context, "arm_context": request.arm_context})  # not too deep for the log's JSON
    return Decision(
        event_id=request.event_id, at=raw.at, unit_id=hash_unit(unit_key, request.unit_id),
        context=dict(request.context), arms=tuple(request.arms), pmf=pmf, arm=arm,
        propensity=pmf[request.arms.index(arm)], policy="client", role=FALLBACK, release=0,
        arm_context=tuple(map(dict, request.arm_context)),
        fallback_reason=raw.reason.decode(errors="replace")[:200] or "unknown",
    )  # fmt: skip


def _pmf(raw: bytes, arms: int) -> tuple[float, ...]:
    try:
        pmf: Any = orjson.loads(raw)
    except ValueError:
        raise InvalidEvent("pmf", raw[:80], "a JSON list of numbers") from None
    if not isinstance(pmf, list) or not {float, int}.issuperset(map(type, pmf)):
        raise InvalidEvent("pmf", raw[:80], "a JSON list of numbers")
    if len(pmf) != arms or min(pmf) < 0 or abs(sum(pmf) - 1.0) > 1e-6:
        raise InvalidEvent("pmf", pmf[:8], f"{arms} probabilities that sum to 1")
    return tuple(map(float, pmf))


def _fate(stored: Decision, sent: Decision) -> str:
    """The same record again is accepted again: a client that crashed while sending sends it twice."""
    return ACCEPTED if (stored.at, stored.arm, stored.pmf) == (sent.at, sent.arm, sent.pmf) else DUPLICATE
