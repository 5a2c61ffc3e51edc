"""The exporter: the figures of apps at /metrics, in Prometheus' own format, by its own library."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from croupier.serving.monitoring.metrics import EXPORTED
from croupier.serving.monitoring.reading import AppReader, Figures
from croupier.serving.readings.sample import Sample

logger = logging.getLogger(__name__)
Family = CounterMetricFamily | GaugeMetricFamily


class AppsCollector(Collector):
    """Gives the figures of several apps, read at each scrape, all apps at once."""

    def __init__(self, readers: Sequence[AppReader]) -> None:
        self._readers = readers

    def describe(self) -> Iterable[Family]:
        """Returns the families without values, so that to be registered is no scrape."""
        return _families().values()

    def collect(self) -> Iterator[Family]:
        """Yields every family that has a value. Never raises: what is broken is counted."""
        for reader in self._readers:
            reader.begin()
        families = _families()
        for reader in self._readers:
            for sample in _all(reader, reader.end()):
                _add(families, reader.app, sample)
        yield from (family for family in families.values() if family.samples)


def _all(reader: AppReader, found: Figures) -> Iterator[Sample]:
    yield from found.samples
    yield Sample("croupier_up", float(found.well))
    yield Sample("croupier_read_seconds", found.seconds)
    for (part, error), count in sorted(reader.failures.items()):
        yield Sample("croupier_read_failures_total", float(count), {"part": part, "error": error})


def _families() -> dict[str, Family]:
    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
    return {name: kinds[m.kind](name, m.help, labels=m.labels) for name, m in EXPORTED.items()}


def _add(families: dict[str, Family], app: str, sample: Sample) -> None:
    labels = {"app": app} | dict(sample.labels)
    metric = EXPORTED.get(sample.name)
    if metric is None or set(labels) != set(metric.labels):
        logger.error("found %s%s, expected a row of serving/monitoring/metrics.py", sample.name, sorted(labels))
        return
    families[sample.name].add_metric([labels[name] for name in metric.labels], sample.value)


def address(text: str) -> tuple[str, int]:
    """The host and port to listen on. Raises ValueError; port 0 lets the system choose one."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"--listen: found {text!r}, expected host:port, such as 127.0.0.1:9109")
    return host.strip("[]"), int(port)


def serve(readers: Sequence[AppReader], listen: str) -> WSGIServer:
    """Serves /metrics in a thread until the returned server is shut down. Raises ValueError for a wrong or busy
    address."""
    host, port = address(listen)
    registry = CollectorRegistry()
    registry.register(AppsCollector(readers))
    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ValueError(
            f"--listen: found {listen!r}, {error.strerror}; expected a free address of this host"
        ) from None
    return server
