"""The figures of one app, read part by part: a part that fails is named and counted, and keeps no other part back.
Parts are read anew at every scrape (some small objects, some indexed queries), but for those that list the hours of the
store, which are read once in a minute.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from croupier.features.clock import now_us
from croupier.features.workspace import Workspace
from croupier.serving.monitoring import verdicts
from croupier.serving.readings import events, releases
from croupier.serving.readings.sample import Read, Sample

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 5.0  # of a scrape, for one app: Prometheus itself waits for ten
LISTED_SECONDS = 60.0
LATE = "late"  # what is counted as the part where an app did not answer in time


@dataclass(frozen=True)
class ReadPart:
    """`read` gives samples; they are read anew once they are older than `seconds`."""

    read: Read
    seconds: float = 0.0


PARTS = {
    "health": ReadPart(verdicts.health), "release": ReadPart(releases.release), "rollout": ReadPart(releases.rollout),
    "log": ReadPart(events.log), "joined": ReadPart(events.joined, LISTED_SECONDS),
    "judged": ReadPart(verdicts.judged, LISTED_SECONDS), "disk": ReadPart(events.disk),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one reading gave. `well`: every part was read."""

    samples: tuple[Sample, ...] = ()
    well: bool = False
    seconds: float = 0.0


@dataclass(eq=False)
class AppReader:
    """Reads one app in a thread of its own, so that a store that hangs keeps no other app from being scraped: the last
    figures are then given again, and are not well. `failures` are counted by (part, kind of error)."""

    app: str
    patience: float = PATIENCE_SECONDS
    timer: Callable[[], float] = time.monotonic
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    _last: Figures = field(default_factory=Figures)
    _kept: dict[str, tuple[float, tuple[Sample, ...]]] = field(default_factory=dict)
    _running: Future[Figures] | None = None

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"croupier-read-{self.app}")

    def begin(self) -> None:
        """Begins a reading, unless the one before still runs."""
        if self._running is None:
            self._running = self._pool.submit(self._read)

    def end(self) -> Figures:
        """Waits for the reading that was begun, for as long as its patience lasts."""
        if self._running is not None and not wait([self._running], self.patience).not_done:
            self._last, self._running = self._running.result(), None
            return self._last
        self._failed(LATE, TimeoutError(f"no answer in {self.patience:g} s; the figures before are given again"))
        return Figures(samples=self._last.samples, seconds=self._last.seconds)

    def close(self) -> None:
        """Ends the thread once its reading has ended."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self) -> Figures:
        began, before = self.timer(), self.failures.total()
        samples: list[Sample] = []
        try:
            w = Workspace.known(self.app)
            for name, part in PARTS.items():
                samples += self._part(name, part, w)
        except Exception as error:  # noqa: BLE001 - whatever an app is broken by, the others are scraped
            self._failed("app", error)
        return Figures(samples=tuple(samples), well=self.failures.total() == before, seconds=self.timer() - began)

    def _part(self, name: str, part: ReadPart, w: Workspace) -> tuple[Sample, ...]:
        at, kept = self._kept.get(name, (-float("inf"), ()))
        if self.timer() - at < part.seconds:
            return kept
        try:
            kept = tuple(part.read(w, now_us()))
        except Exception as error:  # noqa: BLE001
            self._failed(name, error)
            return ()
        self._kept[name] = self.timer(), kept
        return kept

    def _failed(self, part: str, error: Exception) -> None:
        self.failures[part, type(error).__name__] += 1
        logger.error("%s: %s was not read: %s: %s", self.app, part, type(error).__name__, error)
