"""Which ports an app's server has on this host: chosen once, when it first comes up, and remembered.

CROUPIER_TRITON=host:port    says it for every app; HTTP is one below, metrics one above
<home>/ports.json            else what was chosen before, so that clients find the app where it was
8001, 8011, 8021, …          else the first that is free here and that no app under CROUPIER_VAR remembers
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from croupier.features.settings import Settings
from croupier.features.store.locks import alone
from croupier.serving.triton import server
from croupier.serving.triton.binary import TritonUnavailable
from croupier.serving.triton.server import Ports

FIRST, STEP, CHOICES = 8001, 10, 100
FILE = "ports.json"


def known(settings: Settings) -> Ports | None:
    """The ports that the app's server has, or will have; None where none were chosen yet. Raises ValueError."""
    return _declared(settings) or _remembered(settings.home)


def chosen(settings: Settings) -> Ports:
    """Returns the app's ports; where none were chosen yet, they are chosen now and remembered.

    Raises TritonUnavailable where no three ports in a row are free."""
    declared = _declared(settings)
    if declared is not None:
        return declared
    settings.home.mkdir(parents=True, exist_ok=True)
    with alone(settings.var.absolute() / ".ports.lock"):  # of two at once the second sees what the first took
        found = _remembered(settings.home) or next(_free(settings.var), None)
        if found is None:
            raise TritonUnavailable(f"ports: found none free from {FIRST} on; set CROUPIER_TRITON=127.0.0.1:PORT")
        (settings.home / FILE).write_text(json.dumps(asdict(found)))
    return found


def _declared(settings: Settings) -> Ports | None:
    if "triton" not in settings.model_fields_set:
        return None
    port = settings.triton.rpartition(":")[2]
    if ":" not in settings.triton or not port.isdecimal() or not 1 < int(port) < 65535:
        expected = "host:port, the port from 2 to 65534 (HTTP is one below, metrics one above)"
        raise ValueError(f"CROUPIER_TRITON: found {settings.triton!r}, expected {expected}")
    return Ports.around(int(port))


def _remembered(home: Path) -> Ports | None:
    record = server.running(home)  # started with ports of its own, or by a version that kept none
    if record is not None:
        return Ports.around(int(record["ports"]["grpc"]))
    with suppress(OSError, ValueError, KeyError, TypeError):
        return Ports.around(int(json.loads((home / FILE).read_text())["grpc"]))
    return None


def _free(var: Path) -> Iterator[Ports]:
    homes = [path for path in var.absolute().iterdir() if path.is_dir()]
    taken = {port for home in homes if (theirs := _remembered(home)) for port in asdict(theirs).values()}
    airflow = os.environ.get("CROUPIER_AIRFLOW_PORT", "8080")
    taken |= {int(airflow)} if airflow.isdecimal() else set()
    for grpc in range(FIRST, FIRST + CHOICES * STEP, STEP):
        ports = Ports.around(grpc)
        if not taken & set(asdict(ports).values()):
            with suppress(TritonUnavailable):
                ports.refuse_busy()
                yield ports
