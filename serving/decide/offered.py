"""Which of the arms that a request lists can be chosen now. Those that it brings along can.

retired, paused, not yet valid, left out by a rule ─▶ no candidates; counted, said in the answer
unknown to the release, none left, or limits that no pmf keeps ─▶ the request is refused by name
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import Batch
from croupier.features.declared.plain_rows import PlainRows
from croupier.features.encoding import catalogue, inline
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.ids import uuid7
from croupier.features.schema import FROM_BOTH, FROM_CATALOGUE, FROM_REQUEST, Decision, InvalidEvent
from croupier.serving.contract import inline_arms
from croupier.serving.contract.inline_arms import AskedArm
from croupier.serving.contract.requests import CANARY, Listed, Raw, Request, Selection, decode
from croupier.serving.contract.typed_arms import TypedArms
from croupier.serving.decide.arm_lists import ArmLists
from croupier.serving.release import arm_source
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.safeguards import Safeguards
from croupier.serving.retrieval.retriever import Retriever

NO_ARMS = b"[]"  # of a request: those that the release retrieves for it


@dataclass(slots=True)
class OfferedRequest:
    """A request with the arms that can be chosen, the `arms` it listed, and why those `dropped` cannot be."""

    request: Request
    arms: Sequence[str]
    dropped: dict[str, str] = field(default_factory=dict)

    def answer(self, d: Decision) -> Selection:
        """The answer on record, over the arms that were asked for; those that were not among its candidates are
        said."""
        if d.arms == self.arms:
            return Selection(d.event_id, d.arm, d.propensity, tuple(d.pmf), d.release, d.role)
        mass = dict(zip(d.arms, d.pmf, strict=True))
        pmf, dropped = tuple(mass.get(arm, 0.0) for arm in self.arms), tuple(a for a in self.arms if a not in mass)
        return Selection(d.event_id, d.arm, d.propensity, pmf, d.release, d.role, dropped=dropped)


@dataclass(slots=True)
class DecidedTogether:
    """Requests that are decided together, and what is known of each: its event's id, its hashed unit, its row of the
    batch. `stamp` is what its decision says beside what the release says."""

    requests: Sequence[Request]
    events: Sequence[str]
    units: Sequence[str]
    batch: Batch
    stamp: dict[str, Any] = field(default_factory=dict)

    def of(self, rows: NDArray[np.intp]) -> "DecidedTogether":
        """Some of them."""
        place = rows.tolist()
        units, events = [self.units[i] for i in place], [self.events[i] for i in place]
        return DecidedTogether([self.requests[i] for i in place], events, units, self.batch[rows], self.stamp)


@dataclass(slots=True)
class DecodedRequest:
    """A request, the bytes it came as, and whether its list of arms is `known`: read and checked before."""

    raw: Raw
    request: Request
    known: bool

    @property
    def plain(self) -> bool:
        """True if nothing about the features of its arms is to be looked at."""
        return self.known or type(self.request.arm_features) is PlainRows


class Offered:
    """The arms of one release; `every`: those that cannot be chosen now, too."""

    def __init__(self, release: LoadedRelease, *, every: bool) -> None:
        self._number, self._encoder, self._catalogue = release.number, release.encoder, release.catalogue
        self._source = FROM_BOTH if every else arm_source.of(release.manifest)
        self._arms = {arm.arm_id: arm for arm in release.arms}
        bounded = {a.arm_id for a in release.arms if not every and (a.valid_from or a.valid_to or a.paused)}
        safeguards = Safeguards() if every else Safeguards.of(release.manifest)
        self._rules, self._limits = safeguards.ruled_out(release.arms), safeguards.limits(release.arms)
        self.limited = bool(self._limits or self._limits.confidence)  # each decision has limits, or arms it leaves out
        self.slates, self.prices = safeguards.slate_rules(release.arms), safeguards.prices(release.arms)
        self._slated, self._priced = bool(self.slates), bool(self.prices)  # asked of each request
        self._guarded = bool(self.limited or self._rules or self._slated)
        self._lists, self._retriever = ArmLists[Listed](), release.retriever
        self._typed = self._typed_arms()
        self._always, self._bounded = frozenset(self._arms.keys() - bounded), frozenset(bounded) | self._rules.concerned

    def _typed_arms(self) -> TypedArms | None:
        """What reads the lists of an app whose requests may bring arms with plain features along."""
        typed = self._encoder.arm.validation.typed
        if self._source == FROM_CATALOGUE or typed is None or "arm_id" in self._encoder.arm.span:
            return None
        return TypedArms(*typed, self._encoder.arm.values, published=frozenset(self._catalogue.row))

    def decoded(self, raw: Raw) -> DecodedRequest:
        """A request off the wire. Raises InvalidEvent naming a field whose shape is wrong."""
        if (known := self._lists.get(raw.arms)) is not None:
            return DecodedRequest(raw, decode(raw, known), known=True)
        if self._retriever is not None and raw.arms == NO_ARMS:
            return self._retrieved(raw, self._retriever)
        if self._typed is not None and (listed := self._typed.read(raw.arms)) is not None:
            self._lists.keep(raw.arms, listed)
            return DecodedRequest(raw, decode(raw, listed), known=True)
        request = decode(raw)
        if request.arm_features:  # looked at now, since they lie in the processor's cache
            plain = self._encoder.arm.plain(request.arm_features)
            request.arm_features = request.arm_features if plain is None else plain
        return DecodedRequest(raw, request, known=False)

    def _retrieved(self, raw: Raw, retriever: Retriever) -> DecodedRequest:
        """A request that lists no arms, with the shortlist of its event. Raises InvalidEvent naming a field."""
        request = decode(raw, ((), ()))
        if request.arm_context:
            raise InvalidEvent("arm_context", request.arm_context, "none, where a request lists no arms")
        request.event_id = request.event_id or uuid7()
        request.arms, request.retrieved = retriever.listed(request.context, request.event_id)
        return DecodedRequest(raw, request, known=True)

    def checked(self, decoded: DecodedRequest, now: int, undeclared: Undeclared) -> OfferedRequest:
        """The request with its features as they are declared. Raises InvalidEvent naming a feature that is wrong, an
        unknown arm, an arm that comes from where none of the app does, or one that cannot be chosen where no other can
        be."""
        request = decoded.request
        if decoded.known:
            return self._offered(as_declared(self._encoder, request, undeclared, arms=False), now)
        if request.arm_features or self._source != FROM_CATALOGUE:
            inline_arms.check_source(self._source, request.arms, request.arm_features)
        before = 0 if decoded.plain else undeclared.counts.total()
        request = as_declared(self._encoder, request, undeclared, arms=not decoded.plain)
        if request.arm_features:
            inline.refuse_listed(request.arm_features, self._catalogue, request.arms)
            if (
                decoded.plain or undeclared.counts.total() == before
            ):  # else what is left out of them is counted each time
                self._lists.keep(decoded.raw.arms, (request.arms, request.arm_features))
        return self._offered(request, now)

    def _offered(self, request: Request, now: int) -> OfferedRequest:
        """The request with the arms that can be chosen now, by this request, within the limits."""
        if self._priced and request.unit_id != CANARY:
            self.prices.refuse_missing(request)
        found = self._there(request, now)
        if not self._slated:
            found.request.slate = None  # nothing is asked of slates: it is a decision like any other
        if request.unit_id == CANARY or not self._guarded:
            return found
        if self._rules and (ruled := self._rules.why(request.context, found.request.arms, found.request.arm_features)):
            found = _less(found, ruled)
        left = found.request
        if left.slate is not None and (out := self.slates.left_out(left.slate, left.arms, left.arm_features)):
            found = _less(found, out)
        try:
            self._limits.refuse_infeasible(tuple(found.request.arms), request.context)
        except ValueError as error:
            raise InvalidEvent(
                "arms", list(found.request.arms), f"arms that the limits leave a choice of: {error}"
            ) from None
        return found

    def _there(self, request: Request, now: int) -> OfferedRequest:
        listed = request.arms
        if given := request.arm_features:
            listed = [arm for arm, own in zip(listed, given, strict=True) if own is None] if None in given else ()
        if self._always.issuperset(listed):
            return OfferedRequest(request, request.arms)
        for arm in listed:
            if arm not in self._arms:
                brought = ', or {"id", "features"} of one that is brought along' if self._source == FROM_BOTH else ""
                raise InvalidEvent("arms", arm, f"an arm of release {self._number}{brought}")
        dropped = {a: why for a in listed if (why := self._why_not(a, now))}
        found = OfferedRequest(request, request.arms)
        return _less(found, dropped) if dropped else found

    def priced(self, batch: Batch, requests: Sequence[Request]) -> Batch:
        """The batch of these requests as it is scored: less what likeness to the arms above costs slots of slates."""
        if not self._slated:
            return batch
        return self.slates.priced(batch, [(r.slate, r.arms, r.arm_features) for r in requests])

    def margin(self, request: Request, place: int) -> str:
        """What a decision logs of the arm at `place` of a request, where arms are prices; a health check has no
        price."""
        if not self._priced or request.unit_id == CANARY:
            return ""
        return self.prices.margin(request, request.arms[place])

    def some(self, now: int) -> list[AskedArm]:
        """Arms for a health check to ask for at `now`; empty where none can be chosen."""
        found: list[AskedArm] = [*islice(self._at(now), 10)] if self._source != FROM_REQUEST else []
        return found if found or self._source == FROM_CATALOGUE else [{"id": "any", "features": {}}]

    def at(self, now: int) -> list[str]:
        """The arms that can be chosen at `now`."""
        return [*self._at(now)]

    def _at(self, now: int) -> Iterator[str]:
        return (arm for arm in self._arms if not self._why_not(arm, now))

    def may_be(self, stored: Decision, asked: OfferedRequest) -> bool:
        """True if a decision on record can be an earlier answer to this request. An arm that can be chosen at times
        only may have been among its candidates or not; of a slate that is held to minimums any."""
        recorded = stored.arms
        if recorded == asked.request.arms or asked.request.retrieved:
            return True  # who lists no arms asks for no others: a release of before had another shortlist
        among = set(recorded)
        same = tuple(recorded) == tuple(arm for arm in asked.arms if arm in among)
        bounded = self._bounded.issuperset(arm for arm in asked.arms if arm not in among)
        return same and (bounded or asked.request.slate is not None or bool(stored.slate_so_far))

    def _why_not(self, arm: str, now: int) -> str:
        return "" if arm in self._always else catalogue.why_not(self._arms[arm], now)


def as_declared(encoder: Encoder, request: Request, undeclared: Undeclared, *, arms: bool = True) -> Request:
    """The request with its features as the encoder knows them, flat and of their types; without `arms` those of its
    arms are so already. Raises InvalidEvent naming the field."""
    asked = request.context, request.arm_context, request.arm_features
    context, pairs, given = encoder.taken(*asked[:2], asked[2] if arms else (), undeclared)
    given = given if arms else asked[2]
    if context is asked[0] and pairs is asked[1] and given is asked[2]:
        return request
    return Request(
        unit_id=request.unit_id,
        context=context,
        arms=request.arms,
        arm_context=tuple(pairs),
        event_id=request.event_id,
        arm_features=given if type(given) is PlainRows else tuple(given),
        retrieved=request.retrieved,
        slate=request.slate,
    )


def _less(found: OfferedRequest, dropped: dict[str, str]) -> OfferedRequest:
    """Without these arms, too. Raises InvalidEvent where none is left."""
    if len(dropped) == len(found.request.arms):
        arm, why = next(iter(dropped.items()))
        raise InvalidEvent("arms", arm, f"at least one arm that can be chosen now (this one: {why})")
    return OfferedRequest(_without(found.request, dropped), found.arms, found.dropped | dropped)


def _without(request: Request, dropped: dict[str, str]) -> Request:
    kept = [i for i, arm in enumerate(request.arms) if arm not in dropped]
    return Request(
        unit_id=request.unit_id,
        context=request.context,
        arms=tuple(request.arms[i] for i in kept),
        arm_context=tuple(request.arm_context[i] for i in kept) if request.arm_context else (),
        event_id=request.event_id,
        arm_features=tuple(request.arm_features[i] for i in kept) if request.arm_features else (),
        retrieved=request.retrieved,
        slate=request.slate,
    )
