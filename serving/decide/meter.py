"""Counts and timings of one process, kept here and handed over at most once a second: a metric call into Triton costs
more than a decision. What there is to count stands in metrics.py."""

import threading
import time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Mapping
from itertools import accumulate

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)  # seconds
Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]  # name of the metric, and its labels


class Meter:
    """`counts` grow, `gauges` are replaced; `drain`, in any thread, hands over what has changed since it was last
    called."""

    def __init__(self) -> None:
        self._turn = threading.Lock()  # x += 1 is a read and a write
        self._counts: dict[Key, float] = defaultdict(float)
        self._times: dict[str, list[float]] = {}  # stage → count by bucket, and their sum
        self._taken: deque[tuple[str, float]] = deque()  # what is not in them yet: to append needs no lock
        self._gauges: dict[Key, float] = {}

    def count(self, name: str, value: float = 1.0, **labels: str) -> None:
        """Adds to a counter of metrics.py. Never raises: a decision does not depend on being counted."""
        with self._turn:
            self._counts[name, tuple(labels.items())] += value

    def counted(self, name: str) -> float:
        """What a counter without labels has come to since the counts were last handed over."""
        with self._turn:
            return self._counts.get((name, ()), 0.0)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Replaces a gauge of metrics.py."""
        with self._turn:
            self._gauges[name, tuple(labels.items())] = value

    def stage(self, stage: str) -> "_Stage":
        """Time what is inside: `with meter.stage("encode"): …`."""
        return _Stage(self, stage)

    def seconds(self, stage: str, seconds: float) -> None:
        """Notes that one batch took so long in a stage."""
        self._taken.append((stage, seconds))
        if len(self._taken) > 4096:  # nobody drains
            with self._turn:
                self._sort()

    def _sort(self) -> None:
        while self._taken:
            stage, seconds = self._taken.popleft()
            times = self._times.setdefault(stage, [0.0] * (len(BOUNDS) + 2))
            times[bisect_left(BOUNDS, seconds)] += 1
            times[-1] += seconds

    def drain(self) -> tuple[dict[Key, float], dict[Key, float]]:
        """Returns (increments, gauges) since the last call; buckets are cumulative, as Prometheus has them."""
        with self._turn:
            self._sort()
            counts, times, gauges = self._counts, self._times, self._gauges
            self._counts, self._times, self._gauges = defaultdict(float), {}, {}
        for stage, (*buckets, total) in times.items():
            for bound, n in zip((*map("{:g}".format, BOUNDS), "+Inf"), accumulate(buckets), strict=True):
                counts["croupier_stage_within_total", (("stage", stage), ("le", bound))] += n
            counts["croupier_stage_seconds_total", (("stage", stage),)] += total
            counts["croupier_stage_batches_total", (("stage", stage),)] += sum(buckets)
        return dict(counts), gauges

    def put_back(self, *, counts: Mapping[Key, float] | None = None, gauges: Mapping[Key, float] | None = None) -> None:
        """Takes again what was drained and could not be handed over; a gauge that was set since keeps its value."""
        with self._turn:
            for key, value in (counts or {}).items():
                self._counts[key] += value
            self._gauges = {**(gauges or {}), **self._gauges}


class _Stage:
    """Half as dear as a generator's context manager, four times a batch. What raises is not counted."""

    __slots__ = ("_began", "_meter", "_name")

    def __init__(self, meter: Meter, name: str) -> None:
        self._meter, self._name = meter, name

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._meter.seconds(self._name, time.perf_counter() - self._began)
