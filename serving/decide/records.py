"""Decisions made elsewhere, put on record: a client's fallbacks, sent once the server is back.

They pass the same guard as a request, and their pmf is checked: an invented propensity would poison every estimate. The
shown arm's propensity has a floor, and the decision's age a bound (`[record]` in app.toml, features/log/admission.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from croupier.features.clock import now_us
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.ids import hash_unit
from croupier.features.log.admission import Admission
from croupier.features.log.refusals import NotAdmitted, noted
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.log.spool_rows import REUSED, UNTIMELY
from croupier.features.schema import FALLBACK, OPEN_ENDED, Decision, InvalidEvent
from croupier.features.spec_values import AllocationSpec
from croupier.features.utc import YEAR_2100
from croupier.serving.contract.requests import Raw, Request, decode, dump
from croupier.serving.contract.rewards import ACCEPTED, DUPLICATE, REJECTED, Outcome
from croupier.serving.decide import allocation_records
from croupier.serving.decide.rewards import refused, undeclared


class Recorder(Protocol):
    """What writing decisions needs of croupier.features.log.spool.Spool."""

    def append_decisions(
        self, decisions: Sequence[Decision], undeclared: Mapping[str, int] | None = None
    ) -> list[Decision]:
        """Puts decisions on record; returns each as it stands there, a repeated one as it was first. `undeclared`: how
        many values were left out of their requests, by feature."""

    def append_rejects(self, rejects: Sequence[tuple[str, str, bytes, str, int]]) -> None:
        """Puts refused events on record, with their reasons."""


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
    allocation: bytes = b""


class Records:
    """Takes them in; what is accepted is on record when `take` returns."""

    def __init__(
        self,
        log: Recorder,
        *,
        unit_key: str,
        guard: Callable[[Request, Undeclared], Request] | None = None,
        margin: Callable[[Decision], str] = lambda _: "",
        declared: Callable[[], Admission | None] = undeclared,
        clock: Callable[[], int] = now_us,
    ) -> None:
        """`guard(request, undeclared)` gives the request with its features as they are declared, and raises
        InvalidEvent for features and arms that the present release does not know; `margin(decision)` that of its arm,
        where arms are prices; `declared()` gives what the app lets in."""
        self._log, self._unit_key, self._guard = log, unit_key, guard
        self._margin, self._declared, self._clock = margin, declared, clock

    def take(self, raws: Sequence[RawRecord]) -> list[Outcome]:
        """accepted | duplicate | rejected, one each, in order."""
        now, admission = self._clock(), self._declared()
        unknown = Undeclared(lambda: admission is not None and admission.ignore_unknown)
        checked: list[InvalidEvent | Decision] = []
        for raw in raws:
            try:
                checked.append(self._decision(raw, admission, now, unknown))
            except InvalidEvent as error:
                checked.append(error)
        good = [d for d in checked if isinstance(d, Decision)]
        more = [unknown.counts] if unknown.counts else []
        try:
            stored = iter(self._log.append_decisions(good, *more) if good else [])
            found = [_fate(next(stored), d) if isinstance(d, Decision) else d for d in checked]
            rejects = [
                ("decision", e.field, raw.event_id[:256], noted(e), now)
                for e, raw in zip(found, raws, strict=True)
                if isinstance(e, InvalidEvent)
            ]
            if rejects:
                self._log.append_rejects(rejects)
        except SpoolUnavailable as error:
            return [Outcome(REJECTED, f"log: {error}; send it again")] * len(raws)
        return [refused(fate) if isinstance(fate, InvalidEvent) else Outcome(fate) for fate in found]

    def _decision(self, raw: RawRecord, admission: Admission | None, now: int, unknown: Undeclared) -> Decision:
        request = decode(Raw(raw.unit_id, raw.context, raw.arms, raw.arm_context, raw.event_id))
        if self._guard is not None:
            request = self._guard(request, unknown)
        found = decision(raw, request, self._unit_key)
        found.margin = self._margin(found)
        if raw.allocation:
            declared = admission.allocation if admission else AllocationSpec()
            found.allocation = allocation_records.checked(raw.allocation, found, declared).to_json()
        return admission.record(found, now) if admission else found


def decision(raw: RawRecord, request: Request, unit_key: str) -> Decision:
    """Raises InvalidEvent naming the field."""
    if not request.event_id:
        raise InvalidEvent("event_id", "", "the id the client gave this decision")
    pmf = _pmf(raw.pmf, len(request.arms))
    arm = raw.arm.decode(errors="replace")
    if arm not in request.arms or pmf[request.arms.index(arm)] <= 0:
        raise InvalidEvent("arm", arm, "one of arms, with a positive probability")
    if not 0 < raw.at < YEAR_2100:
        raise NotAdmitted("at", raw.at, "UTC microseconds since 1970", reason=UNTIMELY)
    open_ended = {name: getattr(request, name) for name in OPEN_ENDED}
    dump("context", open_ended)  # not too deep for the log's JSON
    return Decision(
        event_id=request.event_id,
        at=raw.at,
        unit_id=hash_unit(unit_key, request.unit_id),
        context=dict(request.context),
        arms=tuple(request.arms),
        pmf=pmf,
        arm=arm,
        propensity=min(1.0, pmf[request.arms.index(arm)]),  # a sum of 1 to six digits may be of a hair more
        policy="client",
        role=FALLBACK,
        release=0,
        arm_context=tuple(map(dict, request.arm_context)),
        arm_features=tuple(None if own is None else dict(own) for own in request.arm_features),
        fallback_reason=raw.reason.decode(errors="replace")[:200] or "unknown",
    )


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


_OF_REQUEST = {"unit_id": "another unit", "context": "another context"}
_OF_ARMS = {"arms": "other arms", "arm_context": "another arm_context", "arm_features": "other features of its arms"}
_ANOTHER = _OF_REQUEST | _OF_ARMS


def reuse(stored: Decision, sent: Decision, *, may_be: bool = False) -> NotAdmitted | None:
    """The refusal of an event id that stands for another question already: another unit, context, or other arms. None
    where both asked the same, for the first answer then holds. `may_be`: the arms on record can be those of the same
    question at a time when others could be chosen (serving/decide/offered.py)."""
    arms = () if may_be and stored.arms != sent.arms else tuple(_OF_ARMS)
    for what in (*_OF_REQUEST, *arms):
        if getattr(stored, what) != getattr(sent, what):
            expected = f"a new id: this one was answered for {_ANOTHER[what]}"
            return NotAdmitted("event_id", sent.event_id, expected, reason=REUSED)
    return None


def _fate(stored: Decision, sent: Decision) -> str | NotAdmitted:
    """Says what became of a record. One that comes again is accepted again: a client that crashed while sending sends
    it twice."""
    same = (stored.at, stored.arm, stored.pmf) == (sent.at, sent.arm, sent.pmf)
    return reuse(stored, sent) or (ACCEPTED if same else DUPLICATE)
