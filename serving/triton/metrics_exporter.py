"""A meter's numbers into Triton's own /metrics, once a second, and logs as JSON lines. `pb` is Triton's
`triton_python_backend_utils`, handed in by model.py."""

import json
import logging
import threading
from typing import Any

from croupier.features.log.spool import Spool
from croupier.serving.decide.meter import GAUGES, HELP, Labels, Meter

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0


class Exporter:
    """Pushes from a thread of its own: sixty metrics take milliseconds, and the first time, when Triton makes them,
    a hundred. No batch waits for that. `pb` None: a trial or a test, where nothing is pushed."""

    def __init__(self, pb: Any, meter: Meter, spool: Spool | None = None) -> None:
        self._pb, self._meter, self._spool = pb, meter, spool
        self._families: dict[str, Any] = {}
        self._metrics: dict[tuple[str, Labels], Any] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="croupier-metrics", daemon=True)
        if pb is not None:
            self._thread.start()

    def close(self) -> None:
        """The last counts are pushed before it returns."""
        self._ended.set()
        if self._pb is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self._push()
        self._push()

    def _push(self) -> None:
        try:
            if self._spool is not None:
                self._meter.gauge("croupier_spool_bytes", float(self._spool.size()))
                self._meter.gauge("croupier_spool_unshipped_rows", float(self._spool.unshipped()))
            counts, gauges = self._meter.drain()
            for (name, labels), value in counts.items():
                if value:
                    self._metric(name, labels).increment(value)
            for (name, labels), value in gauges.items():
                self._metric(name, labels).set(value)
        except Exception:  # a decision never depends on being counted
            log.exception("metrics were not pushed")

    def _metric(self, name: str, labels: Labels) -> Any:
        if (name, labels) not in self._metrics:
            if name not in self._families:
                kind = self._pb.MetricFamily.GAUGE if name in GAUGES else self._pb.MetricFamily.COUNTER
                self._families[name] = self._pb.MetricFamily(name=name, description=HELP[name], kind=kind)
            self._metrics[name, labels] = self._families[name].Metric(labels=dict(labels))
        return self._metrics[name, labels]


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the exception if there is one. Nothing of a unit."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"at": round(record.created, 3), "level": record.levelname, "logger": record.name,
                "message": record.getMessage()}  # fmt: skip
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_as_json() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
