"""Airflow on this machine, for the demo, development and tests: started and stopped whole.

`airflow standalone` with SQLite on loopback, in a process group of its own (SIGTERM to it alone orphans its
children). Production is docker-compose.yml.

    python -m croupier.dags.local.standalone up | down     Airflow and the app's Triton, on their usual ports
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from croupier.dags.local.rest import AirflowError, Rest
from croupier.features.settings import Settings
from croupier.features.store import key_file, layout
from croupier.features.store.locks import alone
from croupier.serving.triton.processes import UMASK, private_log, record, recorded, stop_group

DAGS = Path(__file__).resolve().parents[1]


def require_free(port: int, what: str) -> None:
    """Raises one clear sentence where the port is taken, instead of a server that dies in its log."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            raise AirflowError(
                f"port {port} is busy, {what} needs it: stop what listens there, or `make down`, or choose another port"
            ) from None


def environment(home: Path, port: int) -> dict[str, str]:
    """Variables for every Airflow component and task: one JWT secret, one address, few workers."""
    home.mkdir(parents=True, exist_ok=True)
    secret = key_file.read_or_make(home / layout.AIRFLOW_SECRET)
    bin_dir = str(Path(sys.executable).parent)
    return os.environ | {
        "PATH": bin_dir + os.pathsep + os.environ.get("PATH", ""),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",  # 32 pre-forks 32 workers, 5 GB
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API_AUTH__JWT_SECRET": secret,
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "14400",  # a trainer may run for hours (#67939)
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "OMP_NUM_THREADS": "1",  # our matrices are small: more threads only spin
        "PYTHONWARNINGS": "ignore",
    }


class Airflow(Rest):
    """`with Airflow(home, port) as airflow: airflow.run("build_features", {...})`."""

    def __init__(self, home: Path, port: int, extra: Mapping[str, str] | None = None) -> None:
        super().__init__(home, port)
        self._environment = environment(home, port) | dict(extra or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid_file(self) -> Path:
        """The file that names the process."""
        return self.home / layout.AIRFLOW_PID

    def start(self, *, timeout_seconds: float = 600.0, say: Callable[[str], None] = print) -> "Airflow":
        """Starts Airflow and waits until it is healthy. Raises AirflowError."""
        require_free(self.port, "Airflow")
        with private_log(self.home / layout.AIRFLOW_LOG, "ab") as log:
            process = self._spawn([sys.executable, "-m", "croupier.dags.local.native_airflow"], log)
        record(self.pid_file, process.pid)
        self._process = process
        deadline, began = time.monotonic() + timeout_seconds, time.monotonic()
        while not self.healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AirflowError(
                    f"Airflow did not come up within {timeout_seconds:.0f} s; see {self.home / layout.AIRFLOW_LOG}"
                )
            time.sleep(1)
        say(f"Airflow is up at {self.url} after {time.monotonic() - began:.0f} s")
        return self

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=self._environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            umask=UMASK,
        )

    def stop(self) -> None:
        """Stops the Airflow that was started over this folder."""
        self.stop_recorded(self.home)
        if self._process is not None:
            self._process.wait()  # its group was killed: what is left is to take note of it

    @staticmethod
    def stop_recorded(home: Path) -> bool:
        """True if one ran: the whole group, processor, triggerer, API server and their workers."""
        pid_file = home / layout.AIRFLOW_PID
        group = recorded(pid_file)
        if group is not None:
            stop_group(group, patience_seconds=20.0)
        pid_file.unlink(missing_ok=True)
        return group is not None

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()


def main(verb: str) -> None:
    """Does `up` or `down` for this host."""
    from croupier.serving.commands.servers.serve import triton
    from croupier.serving.operate import supervisor

    var = Settings().var.absolute()
    if verb == "down":
        # whichever folder they were started over, with `make up VAR=…` or by a demo that was killed
        stopped = [f"Airflow of {p.parent}" for p in var.rglob(layout.AIRFLOW_PID) if Airflow.stop_recorded(p.parent)]
        # a pid file may be lost
        files = (*var.rglob(layout.SUPERVISOR_PID), *var.rglob(layout.TRITON_PID), *var.glob(f"*/{layout.REPOSITORY}"))
        stopped += [f"Triton of {home}" for home in sorted({file.parent for file in files}) if supervisor.down(home)]
        found = f"nothing of ours ran under {var}; a stack of another folder: make down VAR=FOLDER"
        print("\n".join(f"stopped {what}" for what in stopped) or found)
        return
    asked, port = triton(), os.environ.get("CROUPIER_AIRFLOW_PORT", "8080")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"CROUPIER_AIRFLOW_PORT: found {port!r}, expected a port from 1 to 65535")
    absolute = {"CROUPIER_VAR": str(var)}  # whatever a task's folder is
    airflow = Airflow(var / layout.AIRFLOW, int(port), absolute)
    with alone(airflow.home / layout.UP_LOCK):  # of two at once the second finds the port busy
        require_free(airflow.port, "Airflow")  # before anything of a running pair is touched
        asked = triton(choose=True)
        supervisor.up(asked.home, grpc_port=asked.ports.grpc)
        try:
            airflow.start()
        except AirflowError:
            supervisor.down(asked.home)
            raise
    print(f"Airflow {airflow.url}   Triton gRPC {asked.grpc}   app {asked.home.name}   stop: make down")


if __name__ == "__main__":
    if sys.argv[1:] not in (["up"], ["down"]):
        sys.exit("usage: python -m croupier.dags.local.standalone up | down")
    try:
        main(sys.argv[1])
    except (RuntimeError, ValueError) as error:
        sys.exit(f"croupier: {error}")
