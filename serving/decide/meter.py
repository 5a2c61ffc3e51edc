"""Counts and timings of one process, kept here and handed over at most once a second: a metric call into Triton costs
more than a decision. Labels never carry a unit, an event or a context.

Times of stages are counters by upper bound, and are named as counters: a histogram of Triton's takes one call to the
server for every observation. PromQL reads the `le` label all the same:

    histogram_quantile(0.99, sum by (le) (rate(croupier_stage_within_total{stage="encode"}[5m])))
"""

import threading
import time
from bisect import bisect_left
from collections import defaultdict, deque
from itertools import accumulate

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)  # seconds
Labels = tuple[tuple[str, str], ...]

HELP = {
    "croupier_decisions_total": "decisions by release, role and policy",
    "croupier_fallbacks_total": "decisions that another policy than the one meant had to make, by reason",
    "croupier_rejects_total": "requests, rewards and records refused, by model and field",
    "croupier_not_admitted_total": "well-formed rewards and records that the app does not declare, by model and reason",
    "croupier_dropped_arms_total": "arms of requests that could not be chosen, by reason: retired, paused, not yet",
    "croupier_rewards_total": "rewards by fate",
    "croupier_records_total": "clients' own decisions by fate",
    "croupier_stage_within_total": "batches that took at most le seconds in a stage of the selector",
    "croupier_stage_seconds_total": "time of batches in a stage of the selector",
    "croupier_stage_batches_total": "batches that went through a stage of the selector",
    "croupier_posterior_step": "rewards the head has learnt from",
    "croupier_spool_bytes": "size of the host's event log",
    "croupier_spool_unshipped_rows": "events of the host's log that are not in the store yet",
}
GAUGES = ("croupier_posterior_step", "croupier_spool_bytes", "croupier_spool_unshipped_rows")


class Meter:
    """`counts` grow, `gauges` are replaced; `drain`, in any thread, hands over what has changed since it was last
    called."""

    def __init__(self) -> None:
        self._turn = threading.Lock()  # x += 1 is a read and a write
        self._counts: dict[tuple[str, Labels], float] = defaultdict(float)
        self._times: dict[str, list[float]] = {}  # stage → count by bucket, and their sum
        self._taken: deque[tuple[str, float]] = deque()  # what is not in them yet: to append needs no lock
        self._gauges: dict[tuple[str, Labels], float] = {}

    def count(self, name: str, value: float = 1.0, **labels: str) -> None:
        with self._turn:
            self._counts[name, tuple(labels.items())] += value

    def gauge(self, name: str, value: float, **labels: str) -> None:
        with self._turn:
            self._gauges[name, tuple(labels.items())] = value

    def stage(self, stage: str) -> "_Stage":
        """Time what is inside: `with meter.stage("encode"): …`."""
        return _Stage(self, stage)

    def seconds(self, stage: str, seconds: float) -> None:
        """One batch took so long in a stage."""
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

    def drain(self) -> tuple[dict[tuple[str, Labels], float], dict[tuple[str, Labels], float]]:
        """(increments, gauges) since the last call; buckets are cumulative, as Prometheus has them."""
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
