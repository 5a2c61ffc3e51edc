"""The slots of a page of several, put on record in one write: as decisions, or among those that wait for activation."""

from collections.abc import Mapping, Sequence

from croupier.features.log import deferred
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision
from croupier.serving.embedded.page import PageLog


class DeferrablePage(PageLog):
    """Stands in the place of the log until `commit`. A slot that waits already keeps its answer; where the page is not
    deferred now, it is shown by the same commit. `since`: what was deferred before it (UTC µs) has expired."""

    def __init__(self, spool: Spool, *, since: int, waits: bool) -> None:
        super().__init__(spool)
        self._log, self._since, self._waits = spool, since, waits
        self._waiting = dict[str, Decision]()

    def commit(self, refused: Sequence[str] = ()) -> bool:
        """As of a page of the embedded selector."""
        if not self._waits:
            self._held |= self._waiting
        done = super().commit(refused)
        if self._waiting and not self._waits:
            deferred.drop(self._log, list(self._waiting))
        return done

    def _known(self, event_ids: Sequence[str]) -> Mapping[str, Decision]:
        self._waiting |= (waiting := deferred.find(self._log, event_ids, since=self._since))
        return waiting | self._log.find(event_ids)

    def _written(self, held: Sequence[Decision], left_out: Sequence[Mapping[str, int]]) -> list[Decision]:
        if not self._waits:
            return super()._written(held, left_out)
        return deferred.Deferring(self._log, since=self._since).append_decisions(held, *left_out)
