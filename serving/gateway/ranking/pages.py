"""The slots of a page of several, put on record in one write: as decisions, or among those that wait for activation.

A page is known by its slots, in their order: the same event with other slots is another question, and is refused.
"""

from collections.abc import Mapping, Sequence

from croupier.features import clock
from croupier.features.log import deferred
from croupier.features.log.refusals import NotAdmitted, noted
from croupier.features.log.spool import Spool
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.log.spool_rows import REUSED
from croupier.features.log.unit_decisions import decisions_below
from croupier.features.schema import Decision
from croupier.features.store import layout
from croupier.features.store.locks import alone
from croupier.serving.slates.page import PageLog


class DeferrablePage(PageLog):
    """Stands in the place of the log until `commit`. A slot that waits already keeps its answer; where the page is not
    deferred now, it is shown by the same commit. `slots`: their ids; `unit`: the page's, hashed; `since`: what was
    deferred before it (UTC µs) has expired. Raises NotAdmitted where the page is on record with other slots."""

    def __init__(
        self, spool: Spool, event_id: str, slots: Sequence[str], *, unit: str, since: int, waits: bool
    ) -> None:
        super().__init__(spool)
        self._log, self._since, self._waits = spool, since, waits
        self._event_id, self._slots, self._unit = event_id, list(slots), unit
        self._waiting = dict[str, Decision]()
        self._refuse_other_slots()

    def commit(self, refused: Sequence[str] = ()) -> bool:
        """As of a page of the embedded selector. Raises NotAdmitted as above: of two that ask for one page with other
        slots at once, whichever process they ask, one is on record, whole, and the other nowhere."""
        try:
            with alone(self._log.path.with_name(layout.PAGES_LOCK)):
                self._refuse_other_slots()
                if not self._waits:
                    self._held |= self._waiting
                done = super().commit(refused)
                if self._waiting and not self._waits:
                    deferred.drop(self._log, list(self._waiting))
        except OSError as error:
            raise SpoolUnavailable(f"{self._log.path}: {error}; nothing of this call was written") from error
        return done

    def _known(self, event_ids: Sequence[str]) -> Mapping[str, Decision]:
        self._waiting |= (waiting := deferred.find(self._log, event_ids, since=self._since))
        return waiting | self._log.find(event_ids)

    def _written(self, held: Sequence[Decision], left_out: Sequence[Mapping[str, int]]) -> list[Decision]:
        if not self._waits:
            return super()._written(held, left_out)
        return deferred.Deferring(self._log, since=self._since).append_decisions(held, *left_out)

    def _refuse_other_slots(self) -> None:
        found = on_record(self._log, self._event_id, unit=self._unit, since=self._since)
        if not found or list(found) == self._slots or _thinned(found, self._slots):
            return
        expected = f"a new id: this one was answered for other slots ({', '.join(found)[:200]}, in this order)"
        error = NotAdmitted("eventId", self._event_id, expected, reason=REUSED)
        self.append_rejects([("decision", "event_id", self._event_id.encode(), noted(error), clock.now_us())])
        raise error


def on_record(spool: Spool, event_id: str, *, unit: str, since: int) -> dict[str, Decision]:
    """The slots of a page that wait, or are in the log, and their decisions, in their order; `unit`, hashed, is the
    page's own, so that an event of another page below it is none of them."""
    waiting = deferred.find(spool, deferred.below(spool, event_id, since=since), since=since)  # first: they move on
    known = {d.event_id: d for d in waiting.values() if d.unit_id == unit}
    known |= {d.event_id: d for d in decisions_below(spool, unit, event_id)}
    return {name.removeprefix(f"{event_id}/"): d for name, d in known.items()}


def _thinned(found: Mapping[str, Decision], slots: Sequence[str]) -> bool:
    """True if these are what a full log kept of the slots (Decision.pass_probability)."""
    return any(d.pass_probability < 1 for d in found.values()) and [s for s in slots if s in found] == list(found)
