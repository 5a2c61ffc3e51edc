"""A host as a member of a fleet: four times a second it passes rewards on, and once a second it exchanges heads.

It runs beside the fast loop, in the process that writes the host's heads, in a thread of its own: no call waits for it.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from croupier.features.log.spool import Spool
from croupier.features.settings import Settings
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.serving.fleet.exchange import HeadExchange
from croupier.serving.fleet.half_life import why_alone
from croupier.serving.fleet.reward_post import RewardPost
from croupier.serving.fleet.shared_store import SharedStore, SharedStoreUnavailable
from croupier.serving.learning.head_writer import HeadWriter

log = logging.getLogger(__name__)
EXCHANGE_SECONDS = 1.0


class Counts(Protocol):
    """What is needed of croupier.serving.decide.meter.Meter."""

    def count(self, name: str, value: float = 1.0, **labels: str) -> None:
        """Adds to a counter."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Replaces a gauge."""


class FleetMember:
    """Call `look()` often; it never raises. `writer` writes this host's heads, or waits to."""

    def __init__(
        self,
        store: SharedStore,
        spool: Spool,
        writer: HeadWriter,
        *,
        home: Path,
        spec: RewardSpec,
        meter: Counts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._writer, self._meter, self._clock = store, writer, meter, clock
        self._post = RewardPost(store, spool, spec, learn=writer, counted=self._counted)
        self._heads = HeadExchange(store, spool, home / layout.HEADS)
        self._well = self._exchanged = clock()
        self._exchanged -= EXCHANGE_SECONDS
        self._alone: set[tuple[int, str]] = set()
        self._said = ""  # what was said last, so that an outage is said once

    def look(self) -> None:
        """One turn; where the store is out of reach, the next one tries again."""
        heads = self._writer.heads()
        if heads is None:  # another process of this host writes them, and is the member
            return
        try:
            self._post.look()
            if self._clock() - self._exchanged >= EXCHANGE_SECONDS:
                self._exchange()
            self._well, self._said = self._clock(), ""
        except SharedStoreUnavailable as error:
            self._say(f"the fleet's store is out of reach, this host serves on: {error}")
        except Exception as error:  # noqa: BLE001 - the host serves and learns whatever goes wrong here
            self._say(f"the fleet's turn failed: {type(error).__name__}: {error}", trace=True)
        self._meter.gauge("croupier_fleet_staleness_seconds", self._clock() - self._well)

    def close(self) -> None:
        """Ends the connections; `look()` is not called any more."""
        self._store.close()

    def _exchange(self) -> None:
        shared = []
        for head in self._writer.heads() or ():
            if not (why := why_alone(head.half_life)):
                shared.append(head)
            elif (head.release, head.role) not in self._alone:
                self._alone.add((head.release, head.role))
                log.error("the head of the %s of release %s is not shared: %s", head.role, head.release, why)
        for role, hosts in self._heads.look(shared).items():
            self._meter.gauge("croupier_fleet_other_hosts", hosts, role=role)
        self._exchanged = self._clock()

    def _say(self, what: str, *, trace: bool = False) -> None:
        if what != self._said:
            log.warning("%s", what, exc_info=trace)
            self._said = what

    def _counted(self, way: str, n: int) -> None:
        self._meter.count("croupier_fleet_rewards_total", n, way=way)


def member(
    settings: Settings, home: Path, spool: Spool, writer: HeadWriter, *, spec: RewardSpec, meter: Counts
) -> FleetMember | None:
    """This host as a member; None where CROUPIER_REDIS names no store. Raises ValueError where it is none."""
    url = settings.redis.get_secret_value()
    if not url:
        return None
    return FleetMember(SharedStore(url, home.name), spool, writer, home=home, spec=spec, meter=meter)
