"""Rewards on their way to the host that decided.

    reward ─▶ a host that has not its decision: on record, answered `elsewhere`
                └▶ stream of the shared store ─▶ every host ─▶ the one that has the decision: on record, and learnt

The stream carries what its receiver cannot learn from. Each host reads all of it and keeps what belongs to a decision
of its own log. Both ways go on from a place that is noted in the spool, and both may repeat: a log takes a reward once.
"""

import logging
from collections.abc import Callable, Sequence

import orjson

from croupier.features.clock import now_us
from croupier.features.log import closings, passed_on
from croupier.features.log.closings import Arrival
from croupier.features.log.spool import Spool
from croupier.features.reward import window_us
from croupier.features.schema import InvalidEvent, Reward
from croupier.features.spec import RewardSpec
from croupier.features.utc import HOUR
from croupier.serving.fleet.shared_store import FIRST, SharedStore

log = logging.getLogger(__name__)
AT_ONCE = 1000  # rewards of one turn
LIFE, PASSED, SENT, TAKEN = "fleet_life", "fleet_passed", "fleet_sent", "fleet_taken"  # facts of the spool


class RewardPost:
    """Passes on and takes in, in one thread of one process of the host. `learn()` is called when rewards came;
    `counted(way, n)` hears how many rewards were passed on, taken in, or malformed."""

    def __init__(
        self,
        store: SharedStore,
        spool: Spool,
        spec: RewardSpec,
        *,
        learn: Callable[[], object],
        counted: Callable[[str, int], object],
    ) -> None:
        self._store, self._spool, self._spec = store, spool, spec
        self._learn, self._counted = learn, counted

    def look(self) -> None:
        """Passes on what came, and takes in what is there. Raises SharedStoreUnavailable and SpoolUnavailable: the next
        look goes on where this one ended."""
        self._begin()
        while self._pass_on():
            pass
        while self._take_in():
            pass

    def _begin(self) -> None:
        """Begins again where the store lost what was in it: rewards that windows may still wait for are sent anew."""
        life, sent = self._store.life(), self._spool.noted(SENT)
        again = life != self._spool.noted(LIFE)
        if again or (sent and self._store.lost(str(sent))):
            since = passed_on.first_since(self._spool, now_us() - window_us(self._spec) - HOUR)
            notes = {LIFE: life, PASSED: since, SENT: ""}
            passed_on.take(self._spool, [], notes | ({TAKEN: FIRST} if again else {}))

    def _pass_on(self) -> bool:
        """True if there may be more."""
        arrived = closings.arrivals(self._spool, int(str(self._spool.noted(PASSED))), AT_ONCE)
        if not arrived:
            return False
        notes: dict[str, object] = {PASSED: arrived[-1].row}
        if strange := self._strange(arrived):
            notes[SENT] = self._store.push(map(orjson.dumps, strange))
            self._counted("passed on", len(strange))
        passed_on.take(self._spool, [], notes)
        return len(arrived) == AT_ONCE

    def _strange(self, arrived: Sequence[Arrival]) -> list[Reward]:
        """Those whose decision is not here."""
        here = passed_on.decided_here(self._spool, {a.reward.event_id for a in arrived})
        return [a.reward for a in arrived if a.reward.event_id not in here]

    def _take_in(self) -> bool:
        """True if there may be more."""
        found = self._store.after(str(self._spool.noted(TAKEN)), AT_ONCE)
        if not found:
            return False
        rewards = [reward for mark, raw in found if (reward := self._read(mark, raw)) is not None]
        here = passed_on.decided_here(self._spool, {r.event_id for r in rewards})
        mine = [r for r in rewards if r.event_id in here]
        if new := passed_on.take(self._spool, mine, {TAKEN: found[-1][0]}):
            self._counted("taken in", new)
            self._learn()
        return len(found) == AT_ONCE

    def _read(self, mark: str, raw: bytes) -> Reward | None:
        try:
            return Reward(**orjson.loads(raw))
        except (ValueError, TypeError, InvalidEvent) as error:
            log.error("the shared store's reward %s is passed over: %s", mark, error)
            self._counted("malformed", 1)
            return None
