"""The core of the serving path: which policy, which arm, with what probability, and on record before it is answered.

    raw bytes ─▶ decode ─▶ champion | candidate ─▶ encode ─▶ pmf ─▶ floor ─▶ draw(event_id) ─▶ record ─▶ answer

No Triton in it. A batch may mix any requests: a bad row gets its own error, a failing policy only its own rows'
fallback, and nobody's answer depends on batch mates. A decision is answered only once it is on record.
"""

import copy
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import Batch
from croupier.features.clock import now_us
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.ids import hash_unit
from croupier.features.log.admission import Admission
from croupier.features.log.refusals import noted
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.schema import CANDIDATE, CHAMPION, Decision, InvalidEvent
from croupier.models.constraints.kept_multipliers import FREE
from croupier.models.constraints.multipliers import Multipliers
from croupier.serving.contract.requests import CANARY, Raw, Request, Selection, decode, event_ids, raw_field, scope_of
from croupier.serving.decide import draws
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.meter import Meter
from croupier.serving.decide.offered import DecidedTogether, DecodedRequest, Offered, OfferedRequest
from croupier.serving.decide.price_reader import PriceReader, Pricing
from croupier.serving.decide.records import Recorder, reuse
from croupier.serving.decide.rewards import undeclared
from croupier.serving.decide.scoring import Ask, Scorer, Served, pmf_of
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.rollout_mirror import RolloutReader, RolloutView
from croupier.serving.release.safeguards import Safeguards
from croupier.serving.spending.leases import Lease

log = logging.getLogger(__name__)
Rows = NDArray[np.intp]
TRIAL_CANDIDATE = "smoke:candidate"  # see serving/operate/trial.py
_CANARY = CANARY.encode()
_MADE_BY = attrgetter("release", "role", "policy", "fallback_reason")


class Selector:
    """One release, in service. `recorder` None: a trial, where nothing is recorded and the unit id names the role."""

    def __init__(
        self,
        release: LoadedRelease,
        *,
        recorder: Recorder | None,
        rollout: RolloutReader | None,
        unit_key: str,
        prices: PriceReader | None = None,
        breaker: CandidateBreaker | None = None,
        heads: LiveHeads | None = None,
        meter: Meter | None = None,
        clock: Callable[[], int] = now_us,
        declared: Callable[[], Admission | None] = undeclared,
    ) -> None:
        """`declared()` gives what the app lets in: whether features that it does not declare are refused; `prices` what
        long-run constraints cost now."""
        self.release, self.recorder, self.rollout = release, recorder, rollout
        self.breaker = breaker or CandidateBreaker(None)
        self.heads, self.meter = heads or LiveHeads(None, release), meter or Meter()
        self.unit_key, self.clock, self.declared = unit_key, clock, declared
        self.offered = Offered(release, every=recorder is None)  # in a trial every arm: golden requests may be old
        self.continues = release.continues
        held = Safeguards.of(release.manifest)
        self._pricing, self._prices = Pricing(held.usages(release.arms), held.beside), prices
        self._host: str = getattr(recorder, "id", "")  # of its log
        self._scorer = Scorer(release, self.heads, self.breaker, trial=recorder is None)
        digests = {"catalogue": release.catalogue.digest, "encoder": release.encoder.digest}
        self.stamp: dict[str, Any] = {"release": release.number, **digests}

    def select(self, requests: Sequence[Request]) -> list[Selection]:
        """Returns one answer a request, in their order; never raises for what a caller sent."""
        raws: list[Raw | InvalidEvent] = []
        for request in requests:
            try:
                raws.append(Raw.of(request))
            except InvalidEvent as error:
                raws.append(error)
        return self._answer(raws)

    def select_raw(self, raws: Sequence[Raw | InvalidEvent]) -> list[Selection]:
        """Answers requests that are bytes off the wire, or what is wrong with one that cannot be, in their order."""
        return self._answer(raws)

    def recording_in(self, recorder: Recorder) -> "Selector":
        """This selector with another log: the same release, heads, breaker and draws."""
        other = copy.copy(self)
        other.recorder = recorder
        return other

    def arms(self) -> list[str]:
        """The ids of the arms that can be chosen now."""
        return self.offered.at(self.clock())

    def warm(self) -> None:
        """Warms the policies up before the first user: see Scorer.warm."""
        canary = self._canary(self.clock())
        if canary.arms == b"[]":
            return  # no arm is valid now: nothing can be asked
        request = decode(canary)
        self._scorer.warm(self.encoded([request]))

    def _answer(self, raws: Sequence[Raw | InvalidEvent]) -> list[Selection]:
        now, unknown = self.clock(), Undeclared(self._ignores)
        raws = [self._canary(now) if isinstance(raw, Raw) and raw.unit_id == _CANARY else raw for raw in raws]
        checked, rejects = self._checked(raws, now, unknown)
        good = [each for each in checked if isinstance(each, OfferedRequest)]
        try:
            if rejects and self.recorder is not None:
                self.recorder.append_rejects(rejects)
            leases = self._pricing.leases([each.request for each in good], self._prices, now)
            chosen = iter([a for part in leases for a in self._decide(good[part.rows], now, unknown.counts, part)])
        except SpoolUnavailable as error:
            log.exception("the decision log failed")
            chosen = iter([self._refusal(f"log: {error}")] * len(good))
        return [next(chosen) if isinstance(each, OfferedRequest) else self._refusal(str(each)) for each in checked]

    def _checked(
        self, raws: Sequence[Raw | InvalidEvent], now: int, unknown: Undeclared
    ) -> tuple[list[OfferedRequest | InvalidEvent], list[tuple[str, str, bytes, str, int]]]:
        """Requests with the arms that can be chosen, or what is wrong with them, and what the log is to keep of these;
        `unknown` counts what is left out of them."""
        found: list[OfferedRequest | InvalidEvent] = []
        rejects = []
        with self.meter.stage("decode"):
            decoded = list(map(self._decoded, raws))
            for raw, each in zip(raws, decoded, strict=True):
                try:
                    if isinstance(each, InvalidEvent):
                        raise each
                    found.append(self.offered.checked(each, now, unknown))
                except InvalidEvent as error:
                    found.append(error)
                    rejects.append(("decision", error.field, raw_field(raw, error.field), str(error), now))
                    self.meter.count("croupier_rejects_total", model="select_arm", field=scope_of(error.field))
        return found, rejects

    def _decoded(self, raw: Raw | InvalidEvent) -> DecodedRequest | InvalidEvent:
        try:
            return raw if isinstance(raw, InvalidEvent) else self.offered.decoded(raw)
        except InvalidEvent as error:
            return error

    def _decide(self, asked: list[OfferedRequest], now: int, left: Mapping[str, int], lease: Lease) -> list[Selection]:
        if not asked:
            return []
        requests, view = [each.request for each in asked], self._view()
        units = [hash_unit(self.unit_key, r.unit_id) for r in requests]
        events, batch = event_ids(requests), self.encoded(requests)
        prices = self._multipliers()
        stamp, batch = self._pricing.paid(batch, prices, now, lease)
        decisions: list[Decision | None] = [None] * len(requests)
        with self._pricing.exploring(requests, self._prices, prices, self._host) as exploring:
            whole = DecidedTogether(requests, events, units, exploring.on(batch), stamp)
            for role, rows in self.split(requests, units, view).items():
                part = whole if len(rows) == len(requests) else whole.of(rows)
                for row, decision in zip(rows.tolist(), self._drawn(role, part, view, now)[0], strict=True):
                    decisions[row] = decision
            made = [d for d in decisions if d is not None]
            with self.meter.stage("record"):
                stored = self.record(requests, made, {} if lease.rows.start else left)
            exploring.count(requests, stored, now)
        lease.count(requests, stored, now)
        return self._answers(asked, made, stored, now)

    def _multipliers(self) -> Multipliers:
        return self._prices.now() if self._prices else FREE

    def _view(self) -> RolloutView:
        """The rollout as it is now."""
        return self.rollout.view(self.release.number, self.continues) if self.rollout else RolloutView()

    def _drawn(
        self, role: str, part: DecidedTogether, view: RolloutView, now: int, *, ask: Ask = pmf_of
    ) -> tuple[list[Decision], list[int]]:
        """Decides requests of one role; `ask(policy, batch)` gives a policy's pmf. Returns the place of each arm, too,
        among the candidates of its request."""
        began, decisions = time.perf_counter_ns(), []
        with self.meter.stage(f"score {role}"):
            served = self._shown(self._scorer.score(role, part.batch, view.stage, ask), part.requests)
        took, pmfs = (time.perf_counter_ns() - began) // 1000 + 1, served.pmf.tolist()
        drawn, name = draws.draw_rows(served.pmf, self.release.salt, part.events), view.named(served.role)
        stamp = self.stamp | part.stamp | {"policy": served.policy, "role": name, "stage": view.stage}
        request: Any  # decoded: its fields are of the types that the log has
        rows = zip(part.requests, part.events, part.units, drawn, pmfs, served.promised(drawn), strict=True)
        for request, event, unit, place, pmf, promised in rows:
            decision = Decision(
                event_id=event,
                at=now,
                unit_id=unit,
                context=request.context,
                arms=request.arms,
                pmf=tuple(pmf[: len(request.arms)]),
                arm=request.arms[place],
                propensity=pmf[place],
                arm_context=request.arm_context,
                posterior_step=served.step,
                shared_posterior=served.shared,
                fallback_reason=served.reason,
                took_us=took,
                arm_features=request.arm_features,
                retrieved=request.retrieved,
                slate_so_far=request.slate.to_json() if request.slate else "",
                conservative=promised,
                margin=self.offered.margin(request, place),
                **stamp,
            )
            decisions.append(decision)
        return decisions, drawn

    def encoded(self, requests: Sequence[Request]) -> Batch:
        """The requests as arrays, their candidates as rows of the catalogue."""
        with self.meter.stage("encode"):
            pairs = [r.arm_context for r in requests]
            contexts, arms, given = zip(*[(r.context, r.arms, r.arm_features) for r in requests], strict=True)
            batch = self.release.encoder.encode(contexts, arms, pairs, self.release.catalogue, given)
            return self.offered.priced(batch, requests)

    def _count_dropped(self, asked: Sequence[OfferedRequest]) -> None:
        for each in asked:
            for why in each.dropped.values():
                self.meter.count("croupier_dropped_arms_total", reason=why)

    def _shown(self, served: Served, requests: Sequence[Request]) -> Served:
        """What a policy made, or, in apprentice mode, the app's own choice: the policy's is counted beside it."""
        declared = self.declared()
        if declared is None or not declared.apprentice or self.recorder is None:
            return served
        real = np.array([request.unit_id != CANARY for request in requests])
        self.meter.count("croupier_apprentice_decisions_total", int(real.sum()))
        self.meter.count("croupier_apprentice_agreed_total", float(served.pmf[real, 0].sum()))
        return served.apprenticed()

    def _ignores(self) -> bool:
        found = self.declared()
        return found is not None and found.ignore_unknown

    def record(self, requests: Sequence[Request], made: list[Decision], left_out: Mapping[str, int]) -> list[Decision]:
        """Puts decisions on record, durable when it returns; a repeated event has its first decision in its place."""
        for name, n in left_out.items():
            self.meter.count("croupier_left_out_features_total", n, scope=scope_of(name))
        if self.recorder is None:
            return made
        real = [d for r, d in zip(requests, made, strict=True) if r.unit_id != CANARY]
        found = self.recorder.append_decisions(real, *([left_out] if left_out else [])) if real else []
        for (release, role, policy, reason), n in Counter(map(_MADE_BY, real)).items():
            self.meter.count("croupier_decisions_total", n, release=str(release), role=role, policy=policy)
            if reason:
                kind = ":".join(reason.split(":")[:2])  # role and exception, not its message
                self.meter.count("croupier_fallbacks_total", n, reason=kind)
        if len(real) == len(made):
            return found
        stored = iter(found)
        return [d if r.unit_id == CANARY else next(stored) for r, d in zip(requests, made, strict=True)]

    def _canary(self, now: int) -> Raw:
        """What a health check asks: some of the arms that are valid now, no features."""
        return Raw.of(Request(unit_id=CANARY, context={}, arms=self.offered.some(now)))

    def split(self, requests: Sequence[Request], units: Sequence[str], view: RolloutView) -> dict[str, Rows]:
        """Rows by role: sticky by unit, champion unless everything says candidate."""
        if self.release.candidate is None or self.breaker.open(self.release.number, view.stage):
            return {CHAMPION: np.arange(len(units))}
        if self.recorder is None:
            mine = np.array([r.unit_id == TRIAL_CANDIDATE for r in requests])
        else:
            mine = np.array([view.holds(unit) for unit in units])
        rows = {CHAMPION: np.flatnonzero(~mine), CANDIDATE: np.flatnonzero(mine)}
        return {role: found for role, found in rows.items() if len(found)}

    def _answers(
        self, asked: Sequence[OfferedRequest], made: Sequence[Decision], stored: Sequence[Decision], now: int
    ) -> list[Selection]:
        """Makes answers of decisions and of what stands on record for them: an earlier answer, when the event is a
        repeat of the same request; the id of another request is refused, and counted."""
        self._count_dropped(asked)
        rows = list(zip(asked, made, stored, strict=True))
        reused = [None if d is mine else reuse(d, mine, may_be=self.offered.may_be(d, each)) for each, mine, d in rows]
        pairs = zip(reused, made, strict=True)
        found = [("decision", e.field, d.event_id.encode(), noted(e), now) for e, d in pairs if e]
        if found and self.recorder is not None:
            self.recorder.append_rejects(found)
            self.meter.count("croupier_rejects_total", len(found), model="select_arm", field="event_id")
        return [self._refusal(str(e)) if e else each.answer(d) for e, (each, _, d) in zip(reused, rows, strict=True)]

    def _refusal(self, error: str) -> Selection:
        return Selection("", "", 0.0, (), self.release.number, "", error)
