"""To allocate, served by the selector's own release, log and rollout.

    bytes ─▶ decode ─▶ features, options, costs ─▶ champion | candidate ─▶ votes ─▶ draw(event_id) ─▶ record ─▶ answer

Items are put on record together, in one transaction, as decisions of their own: the options are the arms, the pmf is
the item's marginals. So the join, rewards, quality, training and the account know them as they know any decision; what
more it takes to derive a whole request anew is beside them (features/budgets/allocated_item.py).
"""

import logging
import math
import time
from collections.abc import Sequence

from croupier.features.budgets.allocated_item import AllocatedItem, item_event, item_of
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.ids import hash_unit, uuid7
from croupier.features.log.refusals import NotAdmitted, noted
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.log.spool_rows import REUSED
from croupier.features.schema import Decision, InvalidEvent
from croupier.features.spec_values import OF_REQUESTS, AllocationSpec
from croupier.serving.allocation.electing import Elected, Elections
from croupier.serving.allocation.posed import Posed, posed
from croupier.serving.contract.allocations import Allocated, AskedAllocation, RawAllocate, decode, item_events
from croupier.serving.contract.requests import scope_of
from croupier.serving.decide.records import reuse
from croupier.serving.decide.selector import Selector
from croupier.serving.release.rollout_mirror import RolloutView

log = logging.getLogger(__name__)


class AllocationDesk:
    """Allocates by the release of `selector`, on record where that is."""

    def __init__(self, selector: Selector) -> None:
        self.selector = selector
        trial = selector.recorder is None
        self._elections = Elections(selector.release, selector.heads, selector.breaker, trial=trial)

    def allocate(self, raws: Sequence[RawAllocate | InvalidEvent]) -> list[Allocated]:
        """Returns one answer a request, in their order; never raises for what a caller sent."""
        return [self._answer(raw) for raw in raws]

    def _answer(self, raw: RawAllocate | InvalidEvent) -> Allocated:
        now, selector = self.selector.clock(), self.selector
        try:
            if isinstance(raw, InvalidEvent):
                raise raw
            return self._decided(decode(raw), now)
        except InvalidEvent as error:
            sent = raw.event_id if isinstance(raw, RawAllocate) and error.field == "event_id" else b""
            selector.meter.count("croupier_rejects_total", model="allocate", field=scope_of(error.field))
            found, said = [("decision", error.field, sent, noted(error), now)], str(error)
        except SpoolUnavailable as error:
            log.exception("the decision log failed")
            return Allocated(release=selector.release.number, error=f"log: {error}")
        try:
            if selector.recorder is not None:
                selector.recorder.append_rejects(found)
        except SpoolUnavailable as error:
            said = f"log: {error}"
        return Allocated(release=selector.release.number, error=said)

    def _decided(self, asked: AskedAllocation, now: int) -> Allocated:
        selector, unknown = self.selector, Undeclared(self._ignores)
        declared = self._declared()
        known = posed(asked, declared, selector.offered, selector.release.encoder, unknown, now=now)
        event_id = asked.event_id or uuid7()
        unit = hash_unit(selector.unit_key, asked.unit_id)
        rollout, release = selector.rollout, selector.release
        view = rollout.view(release.number, selector.continues) if rollout else RolloutView()
        (role,) = selector.split(known.items[:1], [unit], view)
        began = time.perf_counter_ns()
        batch = selector.encoded(known.items)
        with selector.meter.stage(f"score {role}"):
            elected = self._elections.elected(role, known.budget, known.weights, batch, view.stage)
            made = _Made(known, elected, view, declared.rewards == OF_REQUESTS)
            took = (time.perf_counter_ns() - began) // 1000 + 1
            names = [item.name for item in asked.items]
            decisions = made.decisions(event_id, unit, selector, names=names, now=now, took=took)
        if asked.event_id and (again := self._earlier(decisions)):
            return again
        with selector.meter.stage("record"):
            stored = selector.record(known.items, decisions, unknown.counts)
        return self._again(decisions, stored) if stored != decisions else answer(stored)

    def _declared(self) -> AllocationSpec:
        """What app.toml says of allocations. Raises InvalidEvent in apprentice mode, where no policy may choose."""
        admission = self.selector.declared()
        if admission is not None and admission.apprentice:
            expected = "online: an app that serves its own choices has none to allocate; use select"
            raise InvalidEvent("learning_mode", "apprentice", expected)
        return AllocationSpec() if admission is None else admission.allocation

    def _ignores(self) -> bool:
        admission = self.selector.declared()
        return admission is not None and admission.ignore_unknown

    def _earlier(self, decisions: Sequence[Decision]) -> Allocated | None:
        """The answer on record to this very request; None where nothing of its id is. Raises NotAdmitted where that is
        of another request."""
        find = getattr(self.selector.recorder, "find", None)
        if find is None:
            return None
        found = find([decisions[0].event_id, decisions[-1].event_id])
        if not found:
            return None
        stored = find([d.event_id for d in decisions])
        return self._again(decisions, [stored.get(d.event_id) for d in decisions])

    def _again(self, decisions: Sequence[Decision], stored: Sequence[Decision | None]) -> Allocated:
        event = item_of(decisions[0].allocation).request
        for mine, first in zip(decisions, stored, strict=True):
            refused = None if first is None else reuse(first, mine, may_be=self._may_be(first, mine))
            if first is None or refused is not None or _asked(first) != _asked(mine):
                expected = "a new id: this one was answered for another request to allocate"
                raise refused or NotAdmitted("event_id", event, expected, reason=REUSED)
        return answer([d for d in stored if d is not None])

    @staticmethod
    def _may_be(first: Decision, mine: Decision) -> bool:
        return set(first.arms) <= set(mine.arms) or set(mine.arms) <= set(first.arms)


def _asked(decision: Decision) -> tuple[object, ...]:
    """What a request asked of one of its items, whatever was drawn."""
    if not decision.allocation:
        return ()
    item = item_of(decision.allocation)
    costs = dict(zip(decision.arms, item.costs, strict=True))
    return item.items, item.total, item.name, item.region, costs.get(decision.arm)


class _Made:
    """The decisions of one request's items."""

    def __init__(self, known: Posed, elected: Elected, view: RolloutView, whole: bool) -> None:
        self._known, self._elected, self._view, self._whole = known, elected, view, whole

    def decisions(
        self, event_id: str, unit: str, selector: Selector, *, names: Sequence[str], now: int, took: int
    ) -> list[Decision]:
        """Draws, and says with which probability: (n,) decisions."""
        elected, votes = self._elected, self._elected.votes
        chosen = votes.draw(selector.release.salt, event_id)
        texts, marginals = self._items(event_id, votes.propensity(chosen), names), votes.marginals().clip(0.0, 1.0)
        rows = zip(self._known.items, chosen.tolist(), marginals.tolist(), texts, strict=True)
        return [
            Decision(
                event_id=item_event(event_id, place),
                at=now,
                unit_id=unit,
                context=dict(request.context),
                arms=tuple(request.arms),
                pmf=tuple(pmf),
                arm=request.arms[option],
                propensity=pmf[option],
                policy=elected.policy,
                role=self._view.named(elected.role),
                stage=self._view.stage,
                posterior_step=elected.step,
                shared_posterior=elected.shared,
                fallback_reason=elected.reason,
                took_us=took,
                arm_features=tuple(None if own is None else dict(own) for own in request.arm_features),
                allocation=text,
                **selector.stamp,
            )
            for place, (request, option, pmf, text) in enumerate(rows)
        ]

    def _items(self, event_id: str, propensity: float, names: Sequence[str]) -> list[str]:
        """What each item has on record beside its decision."""
        budget, weights, gap = self._known.budget, self._known.weights, self._elected.votes.gap
        covers = tuple(budget.covers.tolist()) if weights.coverage else ()
        return [
            AllocatedItem(
                request=event_id,
                place=place,
                items=len(names),
                total=budget.total,
                costs=tuple(costs),
                propensity=min(propensity, 1.0),
                weights=(weights.relevance, weights.coverage, weights.spare),
                region=region,
                covers=covers,
                whole=self._whole,
                name=name,
                gap=None if math.isnan(gap) else gap,
            ).to_json()
            for place, (costs, region, name) in enumerate(
                zip(budget.costs().tolist(), budget.region.tolist(), names, strict=True)
            )
        ]


def answer(decisions: Sequence[Decision]) -> Allocated:
    """The answer that these decisions, the items of one request, are on record for."""
    items, first = [item_of(d.allocation) for d in decisions], decisions[0]
    costs = [item.costs[d.arms.index(d.arm)] for item, d in zip(items, decisions, strict=True)]
    return Allocated(
        event_id=items[0].request,
        options=tuple(d.arm for d in decisions),
        cost=math.fsum(costs),
        events=item_events(items[0].request, len(items)),
        propensity=items[0].propensity,
        offered=tuple(first.arms),
        marginals=tuple(tuple(d.pmf) for d in decisions),
        gap=items[0].gap,
        step=first.posterior_step,
        release=first.release,
        role=first.role,
    )
