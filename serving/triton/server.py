"""Start and stop a real tritonserver, in a process group of its own, and know when it is truly ready.

    with TritonServer(home) as triton:            # or start() / stop(); `croupier serve up | down | status`
        Client(triton.grpc)...

Explicit model control: nothing is served that was not loaded by name. A group of its own, because killing the server
alone would leave its python stubs. The pid file lets another process (`make down`) stop it.
"""

import contextlib
import http.client
import json
import logging
import os
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.serving.client.secure import loopback
from croupier.serving.triton import admin, binary, leftovers, repository
from croupier.serving.triton.binary import TritonUnavailable
from croupier.serving.triton.endpoint_security import EndpointSecurity
from croupier.serving.triton.processes import UMASK, born, private_log, stop_group

_LOGGER = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
READY_SECONDS = 90.0
# what Triton 24.10 dies of where the machine is so busy that a stub takes no memory in time
SLOW_STUBS, HUNG, STARTS = "boost::interprocess::lock_exception", "not ready after", 3
DRAIN_SECONDS = 10.0
FREE_FROM, FREE_NUMBERS, FREE_TRIES = 10_001, 9_000, 100  # Linux lends 32768 and above, others 49152
_RESERVED: list[socket.socket] = []  # held open until this process ends


@dataclass(frozen=True, kw_only=True)
class Ports:
    """TCP ports of one server."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    @classmethod
    def around(cls, grpc: int) -> Self:
        """Triton's usual triple: HTTP one below gRPC, metrics one above."""
        return cls(http=grpc - 1, grpc=grpc, metrics=grpc + 1)

    @classmethod
    def free(cls) -> Self:
        """Returns three ports in a row that are free now, below those that systems lend to outgoing connections: while
        a server is down that is started again, none of these takes its port. No other process is given them while this
        one lives, since a server listens only seconds after its ports were chosen. Raises TritonUnavailable."""
        for _ in range(FREE_TRIES):
            found = cls.around(FREE_FROM + 3 * secrets.randbelow(FREE_NUMBERS // 3))
            with contextlib.suppress(TritonUnavailable):
                found.refuse_busy()
                if _reserve(found.grpc):
                    return found
        raise TritonUnavailable(f"ports: found none free from {FREE_FROM} to {FREE_FROM + FREE_NUMBERS}")

    def refuse_busy(self) -> None:
        """Raises TritonUnavailable naming the first port that somebody listens on."""
        for name, port in asdict(self).items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((LOOPBACK, port))
                except OSError as error:
                    raise TritonUnavailable(
                        f"{name} port {port} is not free ({error.strerror}): stop what listens there "
                        "(`make down` if it is ours), or set CROUPIER_TRITON=127.0.0.1:PORT "
                        "(HTTP is one below, metrics one above)"
                    ) from None


def _reserve(port: int) -> bool:
    """False where a process of this network namespace holds the name of that port. The kernel takes the name back when
    its process ends, however it ends."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0croupier/ports/{port}")
    except OSError:
        name.close()
        return False
    _RESERVED.append(name)
    return True


class EndedWhileStarting(TritonUnavailable):
    """The server was started and ended, or was not ready in time: perhaps killed, so another try may do."""


class TritonServer:
    """One tritonserver over `<home>/triton`. `environment` reaches the python stubs (CROUPIER_* settings).
    `security` is what CROUPIER_TLS_* and CROUPIER_TOKEN say, unless it is given."""

    def __init__(
        self,
        home: Path,
        *,
        grpc_port: int = 8001,
        ports: Ports | None = None,
        environment: Mapping[str, str] | None = None,
        host: str = LOOPBACK,
        security: EndpointSecurity | None = None,
    ) -> None:
        self.home = home.absolute()
        self.ports = ports or Ports.around(grpc_port)
        self.host, self.security = host, EndpointSecurity.of(Settings()) if security is None else security
        self.log = self.home / layout.TRITON_LOG
        self.pid_file = self.home / layout.TRITON_PID
        self.shm = f"{leftovers.prefix(self.home)}{os.getpid()}_{self.ports.grpc}_"
        self.environment = dict(environment or {})
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def grpc(self) -> str:
        """The address for clients, host:port."""
        return f"{LOOPBACK}:{self.ports.grpc}"

    def start(self, *, ready_seconds: float = READY_SECONDS) -> Self:
        """Returns when the server and every model it was told to load are ready. Raises TritonUnavailable. A start that
        Triton itself gave up, since its stubs were slow (SLOW_STUBS), or in which a stub never came (HUNG: seen once in
        some thousand starts), is tried again."""
        for _ in range(STARTS - 1):
            try:
                return self._start(ready_seconds)
            except EndedWhileStarting as error:
                why = next((why for why in (SLOW_STUBS, HUNG) if why in str(error)), "")
                if not why:
                    raise
                _LOGGER.warning("tritonserver did not come up (%s): started again", why)
        return self._start(ready_seconds)

    def _start(self, ready_seconds: float) -> Self:
        stop_recorded(self.home)
        self.ports.refuse_busy()
        self.home.mkdir(parents=True, exist_ok=True)
        found = binary.find(self.home / layout.RUNTIME)
        binary.refuse_exposure(self.host, found.release)
        if not loopback(self.host):
            self.security.refuse_exposure(self.host)
        models = repository.prepare(self.home / layout.REPOSITORY)
        environment = {
            **os.environ, "OMP_NUM_THREADS": "1", **found.environment, **self.environment,
        }  # fmt: skip
        with private_log(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(found.path), *self._arguments(found, models)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.home,
                start_new_session=True,
                umask=UMASK,
            )
        pid = self.process.pid
        record = {"pid": pid, "born": born(pid), "ports": asdict(self.ports), "shm": self.shm}
        self.pid_file.write_text(json.dumps(record))
        try:
            self._wait_ready(models, ready_seconds)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Sends SIGTERM to the group (running requests finish), then SIGKILL to whatever is left of it. Idempotent;
        stops the server that another process started over this home, too."""
        if self.process is None:
            stop_recorded(self.home)
            return
        stop_group(self.process.pid, patience_seconds=DRAIN_SECONDS)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5.0)  # a leader is a zombie before its last thread has ended, and can be reaped only then
        leftovers.sweep(self.shm)
        self.process = None
        self.pid_file.unlink(missing_ok=True)

    def alive(self) -> bool:
        """True while the process runs."""
        return self.process is not None and self.process.poll() is None

    def __enter__(self) -> Self:
        return self if self.alive() else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _arguments(self, found: binary.Binary, models: list[str]) -> list[str]:
        return [
            f"--model-repository={self.home / layout.REPOSITORY}",
            f"--backend-directory={found.backends}",
            "--model-control-mode=explicit",
            *(f"--load-model={name}" for name in models),
            "--strict-readiness=false",
            "--exit-on-error=true",
            "--disable-auto-complete-config",
            f"--http-address={self.host if loopback(self.host) else LOOPBACK}",  # HTTP has no TLS
            f"--http-port={self.ports.http}",
            f"--grpc-address={self.host}",
            f"--grpc-port={self.ports.grpc}",
            f"--metrics-address={self.host}",
            f"--metrics-port={self.ports.metrics}",
            f"--backend-config=python,shm-region-prefix-name={self.shm}",
            "--exit-timeout-secs=8",
            *admin.arguments(self.home),
            *self.security.arguments(),
        ]

    def _wait_ready(self, models: list[str], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.alive():
                raise EndedWhileStarting(f"tritonserver ended while starting; {self.log} ends:\n{tail(self.log)}")
            if all(ready(self.ports, name) for name in models):
                return
            time.sleep(0.1)
        raise EndedWhileStarting(f"tritonserver {HUNG} {seconds:.0f} s; {self.log} ends:\n{tail(self.log)}")


def stop_recorded(home: Path) -> bool:
    """Stop the server that `<home>/triton.pid` names, if it still runs, and every server and stub over this home that
    no file names; True if there was one. For `make down`."""
    pid_file = home.absolute() / layout.TRITON_PID
    record = running(home)
    found = ({record["pid"]} if record else set()) | leftovers.groups(home)
    for group in found:
        stop_group(group, patience_seconds=DRAIN_SECONDS)
    for prefix in {leftovers.prefix(home), str(record["shm"]) if record else leftovers.prefix(home)}:
        leftovers.sweep(prefix)  # an older version's regions have another name, which its pid file tells
    pid_file.unlink(missing_ok=True)
    return bool(found)


def running(home: Path) -> dict[str, Any] | None:
    """The pid file's record if that very process still lives (a reused pid has another birth time), else None."""
    try:
        record: dict[str, Any] = json.loads((home.absolute() / layout.TRITON_PID).read_text())
        complete = isinstance(record["ports"]["grpc"], int) and isinstance(record["shm"], str)
        return record if complete and record["born"] == born(record["pid"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ready(ports: Ports, model: str) -> bool:
    """Asks model by model: the server's own strict readiness turns false for good once an old version is unloaded."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{ports.http}/v2/models/{model}/ready", timeout=1.0) as reply:
            return bool(reply.status == 200)
    except (OSError, http.client.HTTPException):  # where nobody listens yet, TCP may connect the question to itself
        return False


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log that may not exist."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
