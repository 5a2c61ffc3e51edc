"""A meter's numbers into Triton's own /metrics, at most once a second, and logs as JSON lines. `pb` is Triton's
`triton_python_backend_utils`, handed in by model.py."""

import json
import logging
import time
from typing import Any

from features.spool import Spool
from serving.meter import GAUGES, HELP, Labels, Meter

EVERY_SECONDS = 1.0


class Exporter:
    """`push()` after each batch is cheap; what a process counted last is pushed with its next batch or at its end."""

    def __init__(self, pb: Any, meter: Meter, spool: Spool | None = None) -> None:
        self._pb, self._meter, self._spool = pb, meter, spool
        self._families: dict[str, Any] = {}
        self._metrics: dict[tuple[str, Labels], Any] = {}
        self._pushed = -float("inf")

    def push(self, *, now: bool = False) -> None:
        if self._pb is None or (not now and time.monotonic() - self._pushed < EVERY_SECONDS):
            return
        self._pushed = time.monotonic()
        if self._spool is not None:
            self._meter.gauge("croupier_spool_bytes", float(self._spool.size()))
            self._meter.gauge("croupier_spool_unshipped_rows", float(unshipped(self._spool)))
        counts, gauges = self._meter.drain()
        for (name, labels), value in counts.items():
            self._metric(name, labels).increment(value)
        for (name, labels), value in gauges.items():
            self._metric(name, labels).set(value)

    def _metric(self, name: str, labels: Labels) -> Any:
        if (name, labels) not in self._metrics:
            if name not in self._families:
                kind = self._pb.MetricFamily.GAUGE if name in GAUGES else self._pb.MetricFamily.COUNTER
                self._families[name] = self._pb.MetricFamily(name=name, description=HELP[name], kind=kind)
            self._metrics[name, labels] = self._families[name].Metric(labels=dict(labels))
        return self._metrics[name, labels]


def unshipped(spool: Spool) -> int:
    """Rows behind the shipper: the last row of each kind less the last one that a shipment took."""
    shipped = dict(spool.db.execute("SELECT name, value FROM facts WHERE name LIKE 'shipped_%'").fetchall())
    last = dict(spool.db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    kinds = ("decisions", "rewards", "rejects")
    return int(sum(last.get(kind, 0) - int(shipped.get(f"shipped_{kind}", 0)) for kind in kinds))


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
