"""Everything that one process holds open to decide by itself: log, selector, rewards, and who keeps them up to date.

A forked child may use none of it (a database's file locks, threads): it makes a host of its own.
"""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from croupier.features.log.admission import Admission
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.storage import StoreError
from croupier.features.workspace import Workspace
from croupier.serving.allocation.desk import AllocationDesk
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.meter import Meter
from croupier.serving.decide.price_reader import PriceReader, mirror
from croupier.serving.decide.rewards import Rewards
from croupier.serving.embedded import releases
from croupier.serving.embedded.declared import check_known, first_release
from croupier.serving.evidence.breakers import BreakerReport
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.learning.window_closer import WindowCloser
from croupier.serving.release import bundle_store
from croupier.serving.release.bundle import ReleaseRefused
from croupier.serving.release.rollout_mirror import RolloutReader
from croupier.serving.release.rollout_store import MirrorFollower
from croupier.serving.release.signature import Keys
from croupier.serving.slates.selector import SlateSelector
from croupier.serving.triton.declaration import Declaration, carried

if TYPE_CHECKING:
    from croupier.serving.fleet.member import FleetMember
    from croupier.serving.learning.head_writer import HeadWriter

log = logging.getLogger(__name__)
MIRROR_SECONDS = 0.1  # how long a process goes by what it last read of rollout.json


class Host:
    """Open until `close()`. Raises ValueError where the app is not declared and has no release."""

    def __init__(self, w: Workspace, *, every: float) -> None:
        self.w, self.meter, self.turn = w, Meter(), threading.RLock()
        self._keys, self._refused = Keys.of(w.settings), 0
        self._mirror, self._declaration = MirrorFollower(w.home), Declaration(w.home)
        self._breaker = BreakerReport(w.home, w.settings.host)
        check_known(w)
        number = self._first()
        self.spool = w.spool()
        try:
            self.selector = self._selector(number)
        except BaseException:
            self.spool.close()
            raise
        learn = self._learner()
        of_fleet = bool(w.settings.redis.get_secret_value())
        self.rewards = Rewards(self.spool, declared=self.declared, learn=learn, of_fleet=of_fleet)
        self._threads = [WindowCloser(self.look, every)]
        self._fleet = self._member(learn) if learn else None
        if learn:
            self._threads.append(WindowCloser(learn))
        if self._fleet:
            self._threads.append(WindowCloser(self._fleet.look))
        self._writer = learn
        self._desk: AllocationDesk | None = None

    def allocations(self) -> AllocationDesk:
        """What allocates by the release that decides now."""
        desk = self._desk
        if desk is None or desk.selector is not self.selector:
            desk = self._desk = AllocationDesk(self.selector)
        return desk

    def look(self) -> None:
        """Follows the store: a new release, a new stage. While the store is down, or a release is refused, the one that
        serves goes on, and the log says so once."""
        try:
            number = bundle_store.current(self.w.store)
            if number not in (None, self.selector.release.number, self._refused):
                self._take(number)
            state = self._mirror.look(self.w.store)
            mirror(self.w.store, self.w.home)
            self._breaker.look(self.w.store, state)
        except ReleaseRefused as error:
            self._refused = number or 0
            log.error("release %s is not served here: %s", number, error)
        except (StoreError, OSError, KeyError, ValueError) as error:
            log.warning("the store was not looked at: %s", error)

    def close(self) -> None:
        """Ends the threads and closes the log; what was acknowledged is on record."""
        for thread in self._threads:
            thread.close()
        if self._fleet is not None:
            self._fleet.close()
        if self._writer is not None:
            self._writer.close()
        self.spool.close()

    def abandon(self) -> None:
        """In a forked child: lets go of what would stay locked in the parent's name. All else is left as it is."""
        if self._writer is not None:
            self._writer.abandon()

    def _first(self) -> int:
        """The number of the release to begin with."""
        try:
            number = bundle_store.current(self.w.store)
            self._mirror.look(self.w.store)
        except (StoreError, OSError) as error:
            log.warning("the store is out of reach, what this host has is served: %s", error)
            number = releases.newest(self.w.home)
        return first_release(self.w) if number is None else number

    def _take(self, number: int) -> None:
        """The next call is decided by this release; one under way ends with the release before."""
        selector = self._selector(number)
        with self.turn:
            self.selector = selector

    def _selector(self, number: int) -> SlateSelector:
        home = self.w.home
        loaded = releases.loaded(self.w.store, home, number, keys=self._keys)
        made = SlateSelector(
            loaded,
            recorder=self.spool,
            rollout=RolloutReader(home / layout.ROLLOUT_MIRROR, every=MIRROR_SECONDS),
            unit_key=self.w.unit_key,
            breaker=CandidateBreaker(home / layout.BREAKER, patience_ms=self.w.settings.patience_ms),
            heads=LiveHeads(home / layout.HEADS, loaded),
            meter=self.meter,
            declared=self.declared,
            prices=PriceReader(home / layout.MULTIPLIERS_MIRROR, every=MIRROR_SECONDS),
        )
        made.warm()
        return made

    def declared(self) -> Admission | None:
        """What app.toml admits, else what the release carries."""
        return self._declaration() or carried(layout.embedded(self.w.home, self.selector.release.number))

    def _member(self, learn: "HeadWriter") -> "FleetMember | None":
        """This host as a member of a fleet, where CROUPIER_REDIS says so."""
        from croupier.serving.fleet.member import member

        spec = self.w.spec.reward
        return member(self.w.settings, self.w.home, self.spool, learn, spec=spec, meter=self.meter)

    def _learner(self) -> "HeadWriter | None":
        """The fast loop, whose libraries only apps load that ask for it."""
        spec = AppSpec.read(self.w.home / layout.APP_TOML) if (self.w.home / layout.APP_TOML).exists() else AppSpec()
        if not spec.policies.fast_loop:
            return None
        from croupier.serving.learning.head_writer import HeadWriter

        def newest() -> Path:
            return layout.embedded(self.w.home, self.selector.release.number)

        learn = HeadWriter(self.w.home, self.spool, spec.reward, newest)
        learn()
        return learn
