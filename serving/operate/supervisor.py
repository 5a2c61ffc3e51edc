"""Keeps a Triton serving: started again when it has died, and when it lives but does not decide.

`is_model_ready` stays true for a dead stub, so health is a canary: a selection answered in full, and
never recorded. Beside it a changed catalogue.json is released (follower.py). `croupier serve up` runs this in
the background, `croupier serve run` in the foreground.
"""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.store.locks import alone
from croupier.serving.client.client import Client
from croupier.serving.client.errors import Unavailable
from croupier.serving.client.messages import CANARY_COLUMNS
from croupier.serving.operate.follower import CatalogueFollower
from croupier.serving.triton import leftovers, repository, server
from croupier.serving.triton.binary import TritonUnavailable
from croupier.serving.triton.endpoint_security import EndpointSecurity
from croupier.serving.triton.processes import UMASK, private_log, record, recorded, stop_process
from croupier.serving.triton.server import TritonServer

EVERY_SECONDS, TIMEOUT_MS, PATIENCE_SECONDS = 0.5, 1000.0, 3.0
FIRST_SECONDS, LONGEST_SECONDS = 60.0, 1800.0  # for the first answer; twice as long after each life without one
NOT_STARTED, TRIES = "not started", 3  # `up` gives up after so many; a supervisor never does
_background: list[subprocess.Popen[bytes]] = []  # they outlive us, and are not ours to wait for


def healthy(url: str) -> bool:
    """True if one canary selection is answered, with the TLS and the token that CROUPIER_* say."""
    security = EndpointSecurity.of(Settings())
    with Client(url, fallback=None, tls=security.tls, token=security.token) as client:
        try:
            return client.call("select_arm", CANARY_COLUMNS, timeout_ms=TIMEOUT_MS)["error"] == [""]
        except Unavailable:
            return False


def supervise(triton: TritonServer, ended: threading.Event) -> None:
    """Watches, and restarts, until `ended`. Before the first release there is nothing to decide, so only the process
    counts; then FIRST_SECONDS without an answered canary mean a restart, and PATIENCE_SECONDS once one was answered."""
    try:
        triton.start()
    except server.EndedWhileStarting as error:  # whoever killed a stub then has not ended us
        print(f"{NOT_STARTED}: {error}", flush=True)
        _restart(triton, ended)
    well, patience, first = time.monotonic(), FIRST_SECONDS, FIRST_SECONDS
    if not ended.is_set():
        print(f"Triton is ready: gRPC {triton.grpc}", flush=True)
    while not ended.wait(EVERY_SECONDS):
        if triton.alive():
            decides = bool(repository.versions(triton.home / layout.REPOSITORY, repository.SELECT_ARM))
            if not decides:
                well = time.monotonic()
            elif healthy(triton.grpc):
                well, patience, first = time.monotonic(), PATIENCE_SECONDS, FIRST_SECONDS
            if time.monotonic() - well < patience:
                continue
        why = "does not decide" if triton.alive() else "has ended"
        print(f"Triton {why}: it is started again; its log ended\n{server.tail(triton.log, 5)}", flush=True)
        _restart(triton, ended)
        well, patience, first = time.monotonic(), first, min(2 * first, LONGEST_SECONDS)
    triton.stop()


def _restart(triton: TritonServer, ended: threading.Event) -> None:
    pause = 1.0
    while not ended.is_set():
        try:
            triton.stop()
            triton.start()
        except (TritonUnavailable, ValueError, OSError) as error:
            print(f"{NOT_STARTED}: {error}; again in {pause:.0f} s", flush=True)
            ended.wait(pause)
            pause = min(2 * pause, 30.0)
        else:
            return


def run(triton: TritonServer) -> None:
    """Supervises in the foreground, until SIGTERM or SIGINT."""
    ended = threading.Event()

    def _end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    follower = CatalogueFollower(triton.home)
    try:
        supervise(triton, ended)
    finally:
        follower.close()


def up(home: Path, *, grpc_port: int, seconds: float = server.READY_SECONDS) -> TritonServer:
    """Start a supervisor in the background and wait until its Triton is ready; one that runs is replaced. Raises
    TritonUnavailable. Of two at once over one home the second waits for the first."""
    home.mkdir(parents=True, exist_ok=True)
    with alone(home / layout.UP_LOCK):
        return _up(home, grpc_port, seconds)


def _up(home: Path, grpc_port: int, seconds: float) -> TritonServer:
    down(home)
    triton = TritonServer(home, grpc_port=grpc_port)
    triton.ports.refuse_busy()
    log = triton.home / layout.SUPERVISOR_LOG
    command = [sys.executable, "-m", "croupier.serving.operate.supervisor", str(triton.home), str(grpc_port)]
    with private_log(log, "wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, umask=UMASK
        )
    _background.append(process)
    record(triton.home / layout.SUPERVISOR_PID, process.pid)
    deadline = time.monotonic() + seconds
    while b"is ready" not in log.read_bytes():
        failed = log.read_text(errors="replace").count(NOT_STARTED) >= TRIES
        if failed or process.poll() is not None or time.monotonic() > deadline:
            down(home)
            raise TritonUnavailable(f"Triton did not come up; {log} ends:\n{server.tail(log)}")
        time.sleep(0.1)
    return triton


def down(home: Path) -> bool:
    """Stop the supervisor, then whatever Triton it left, whoever was killed before. True if something ran."""
    file = home.absolute() / layout.SUPERVISOR_PID
    named = recorded(file)
    found = leftovers.supervisors(home) | ({named} if named is not None else set())
    stopped = sum(stop_process(pid, patience_seconds=20.0) for pid in found) > 0
    file.unlink(missing_ok=True)
    _background[:] = [process for process in _background if process.poll() is None]
    return server.stop_recorded(home) or stopped


if __name__ == "__main__":
    run(TritonServer(Path(sys.argv[1]), grpc_port=int(sys.argv[2])))
