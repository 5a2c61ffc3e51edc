"""A selector that decides slates, too: read, encoded and scored once for all slots, and put on record in one write.

    SlateRequest ─▶ decode ─▶ encode ─▶ scores ─┬▶ pmf over all arms ───▶ draw(ID/0) ─┐
                                                ├▶ pmf over the others ─▶ draw(ID/1) ─┼▶ record ─▶ Slate
                                                └▶ …                                  ┘

Arms, pmfs and propensities are those that the slots have as decisions one after another (contract/slates.py), to the
bit: what is left of the scores is the scores of what is left (models/policy.py), less the likeness to the arms above.
A slate whose slots have features differs in its context from slot to slot, and is asked for slot after slot; so is one
that is on record, and every one of a release with budgets, limits or a baseline, which are each decision's.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from operator import is_

from croupier.features.batch import Batch, Left
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.ids import hash_unit, uuid7s
from croupier.features.log.spool import Spool
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.schema import InvalidEvent
from croupier.features.slates.minimums import Minimum
from croupier.serving.contract.requests import Raw, Request
from croupier.serving.contract.slates import Slate, SlateRequest, decided, named, slot_event
from croupier.serving.decide.offered import DecidedTogether, OfferedRequest
from croupier.serving.decide.selector import Selector
from croupier.serving.release.rollout_mirror import RolloutView
from croupier.serving.slates.page import PageLog
from croupier.serving.slates.plain import plain
from croupier.serving.slates.scores import Scores
from croupier.serving.slates.slots_left import SlotsLeft
from croupier.serving.slates.under_way import UnderWay

log = logging.getLogger(__name__)


class SlateSelector(Selector):
    """As `Selector`; its log is a spool of its own host."""

    def select_slates(self, asked: Sequence[SlateRequest], spool: Spool) -> list[Slate]:
        """Returns one slate a request, in order; never raises for what a caller sent. All slots of a slate are on
        record in `spool`, or none."""
        try:
            slots = [0] * len(asked) if self._pricing.spends or self.offered.limited else plain(asked, spool)
            rows = [i for i, k in enumerate(slots) if k]
            found = dict(zip(rows, self._at_once([asked[i] for i in rows], [slots[i] for i in rows]), strict=True))
            rest = [i for i in range(len(asked)) if found.get(i) is None]
            found |= dict(zip(rest, self._slot_after_slot([asked[i] for i in rest], spool), strict=True))
        except SpoolUnavailable as error:
            log.exception("the decision log failed")
            return [Slate(slate_id=each.event_id, slots=(), error=f"log: {error}") for each in asked]
        return [slate for i in range(len(asked)) if (slate := found[i]) is not None]

    def _slot_after_slot(self, asked: Sequence[SlateRequest], spool: Spool) -> list[Slate]:
        found = dict[int, Slate]()
        for rows in _apart([each.event_id for each in asked]):
            found |= zip(rows, self._page([asked[i] for i in rows], spool), strict=True)
        return [found[i] for i in range(len(asked))]

    def _page(self, asked: Sequence[SlateRequest], spool: Spool) -> list[Slate]:
        """Slates of names that are all different, put on record together: each with all of its slots, or none."""
        known = named(asked)
        while True:
            page = PageLog(spool)
            found = decided(self.recording_in(page).select, known)
            if page.commit([slate.slate_id for slate in found if slate.error]):
                return found

    def _at_once(self, asked: Sequence[SlateRequest], slots: Sequence[int]) -> list[Slate | None]:
        """Slates, each of a number of slots that ask for the same; None for one that another process decided
        meanwhile."""
        now, unknown = self.clock(), Undeclared(self._ignores)
        made = iter(uuid7s(len(asked)))
        names = [each.event_id or next(made) for each in asked]
        checked, rejects = self._checked(list(map(_first_slot, asked)), now, unknown)
        slates: list[UnderWay | InvalidEvent] = []
        for name, k, each, offered in zip(names, slots, asked, checked, strict=True):
            try:
                slates.append(self._begun(name, k, each, offered) if isinstance(offered, OfferedRequest) else offered)
            except InvalidEvent as error:
                slates.append(error)
                rejects.append(("decision", error.field, b"", str(error), now))
        if rejects and self.recorder is not None:
            self.recorder.append_rejects(rejects)
        opened = [slate for slate in slates if isinstance(slate, UnderWay)]
        self._fill(opened, now)
        kept = iter(self._kept(opened, unknown))
        return [
            (slate.answer() if next(kept) else None)
            if isinstance(slate, UnderWay)
            else Slate(slate_id=name, slots=(), error=str(slate))
            for name, slate in zip(names, slates, strict=True)
        ]

    def _begun(self, name: str, k: int, asked: SlateRequest, offered: OfferedRequest) -> UnderWay:
        """Raises InvalidEvent naming a minimum that cannot be kept, or where there are too few arms."""
        rules, request = self.offered.slates, offered.request
        minimums: Sequence[Minimum] = ()
        if rules or asked.minimums:
            minimums = rules.known(k, request.arms, request.arm_features, asked.minimums)
        if len(request.arms) < k:
            raise InvalidEvent("arms", f"{len(request.arms)} that can be chosen now", f"at least one a slot: {k}")
        return UnderWay(name, k, asked, offered, minimums, recorded=bool(rules))

    def _fill(self, slates: Sequence[UnderWay], now: int) -> None:
        """Decides every slot of every slate."""
        if not slates:
            return
        requests, view = [slate.left for slate in slates], self._view()
        units = [hash_unit(self.unit_key, r.unit_id) for r in requests]
        stamp, batch = self._pricing.paid(self.encoded(requests), self._multipliers(), now)
        whole = DecidedTogether(requests, [slate.slate_id for slate in slates], units, batch, stamp)
        for role, rows in self.split(requests, units, view).items():
            part = whole if len(rows) == len(slates) else whole.of(rows)
            self._fill_role(role, [slates[i] for i in rows.tolist()], part, view, now)

    def _fill_role(
        self, role: str, slates: Sequence[UnderWay], whole: DecidedTogether, view: RolloutView, now: int
    ) -> None:
        """Decides the slots of slates of one role: all first slots, all second ones, …"""
        scores, slots = Scores(whole.batch), SlotsLeft(slates, whole.batch, self.offered.slates)
        for slot in range(max(slate.k for slate in slates)):
            left = slots.of(slot)
            going, part = _slot(slates, whole, (slot, left, scores.batch))
            made, drawn = self._drawn(role, part, view, now, ask=scores.over(left))
            for slate, decision, place in zip(going, made, drawn, strict=True):
                slate.take(decision, place)
            slots.show(left, drawn)

    def _kept(self, slates: Sequence[UnderWay], unknown: Undeclared) -> list[bool]:
        """Puts all slots on record in one write. False for a slate that is on record otherwise by now."""
        if not slates:
            return []
        self._count_dropped([slate.offered for slate in slates])
        made = [decision for slate in slates for decision in slate.made]
        with self.meter.stage("record"):
            stored = self.record([slate.left for slate in slates for _ in slate.made], made, unknown.counts)
        if all(map(is_, stored, made)):
            return [True] * len(slates)
        same = iter([(d.arm, d.propensity) == (m.arm, m.propensity) for d, m in zip(stored, made, strict=True)])
        return [all([next(same) for _ in each.made]) for each in slates]  # noqa: C419 - each takes all of its own


def _slot(
    slates: Sequence[UnderWay], whole: DecidedTogether, at: tuple[int, Left, Batch]
) -> tuple[list[UnderWay], DecidedTogether]:
    """The slates that have this slot, and its decisions, over what is left of a batch."""
    slot, left, batch = at
    rows = left.rows.tolist()
    going, units = [slates[i] for i in rows], [whole.units[i] for i in rows]
    requests = [slate.request(left, i) for i, slate in enumerate(going)]
    events = [slot_event(slate.slate_id, slot) for slate in going]
    return going, DecidedTogether(requests, events, units, left.batch(batch), whole.stamp)


def _first_slot(asked: SlateRequest) -> Raw | InvalidEvent:
    """The decision of the first slot, as it would come over the wire; its slate has the name."""
    first = Request(unit_id=asked.unit_id, context=asked.context, arms=asked.arms, arm_context=asked.arm_context)
    try:
        return Raw.of(first)
    except InvalidEvent as error:
        return error


def _apart(names: Sequence[str]) -> list[list[int]]:
    """The places of names, in parts that have each name once; what has no name yet is in the first."""
    seen, parts = Counter[str](), defaultdict[int, list[int]](list)
    for i, name in enumerate(names):
        parts[seen[name] if name else 0].append(i)
        seen[name] += 1
    return list(parts.values())
