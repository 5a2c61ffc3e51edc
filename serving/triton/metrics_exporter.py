"""Pushes a meter's numbers into Triton's own /metrics, once a second. What there is to push: serving/decide/metrics.py.

`pb` is Triton's `triton_python_backend_utils`, handed in by model.py."""

import logging
import threading
from typing import Any

from croupier.features.log.spool import Spool
from croupier.serving.decide.meter import Key, Labels, Meter
from croupier.serving.decide.metrics import METRICS, UNKNOWN

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0


class Exporter:
    """Pushes from a thread of its own: sixty metrics take milliseconds, and the first time, when Triton makes them,
    a hundred. No batch waits for that. `pb` None: a trial or a test, where nothing is pushed.

    A number that could not be pushed is pushed the next time, and keeps no other one back."""

    def __init__(self, pb: Any, meter: Meter, spool: Spool | None = None) -> None:
        self._pb, self._meter, self._spool = pb, meter, spool
        self._families: dict[str, Any] = {}
        self._metrics: dict[Key, Any] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="croupier-metrics", daemon=True)
        if pb is not None:
            self._thread.start()

    def close(self) -> None:
        """Pushes the last counts before it returns."""
        self._ended.set()
        if self._pb is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self._push()
        self._push()

    def _push(self) -> None:
        self._measure_spool()
        counts, gauges = self._meter.drain()
        for key, value in _known(counts).items():
            if value and not self._pushed(key, "increment", value):
                self._meter.put_back(counts={key: value})
        for key, value in gauges.items():
            if key[0] not in METRICS:
                log.error("metrics: found gauge %s, expected one of serving/decide/metrics.py", key[0])
            elif not self._pushed(key, "set", value):
                self._meter.put_back(gauges={key: value})

    def _measure_spool(self) -> None:
        try:
            if self._spool is not None:
                self._meter.gauge("croupier_spool_bytes", float(self._spool.size()))
                self._meter.gauge("croupier_spool_unshipped_rows", float(self._spool.unshipped()))
        except Exception:  # a decision never depends on being counted, nor does any other metric
            log.exception("the spool's metrics were not read")

    def _pushed(self, key: Key, verb: str, value: float) -> bool:
        try:
            getattr(self._metric(*key), verb)(value)
        except Exception:
            log.exception("metric %s was not pushed, and will be the next time", key[0])
            return False
        return True

    def _metric(self, name: str, labels: Labels) -> Any:
        if (name, labels) not in self._metrics:
            if name not in self._families:
                kind = getattr(self._pb.MetricFamily, METRICS[name].kind.upper())
                self._families[name] = self._pb.MetricFamily(name=name, description=METRICS[name].help, kind=kind)
            self._metrics[name, labels] = self._families[name].Metric(labels=dict(labels))
        return self._metrics[name, labels]


def _known(counts: dict[Key, float]) -> dict[Key, float]:
    """The counts, those of names without a row in the table under UNKNOWN."""
    known = {key: value for key, value in counts.items() if key[0] in METRICS}
    for key in counts.keys() - known.keys():
        log.error("metrics: found counter %s, expected one of serving/decide/metrics.py", key[0])
        where = (UNKNOWN, (("name", key[0]),))
        known[where] = known.get(where, 0.0) + counts[key]
    return known
