"""Airflow on this machine, for the demo, development and tests: started, asked over its REST API, stopped whole.

`airflow standalone` with SQLite on loopback, in a process group of its own (SIGTERM to it alone orphans its
children, FACTS.md §2). Production is docker-compose.yml.

    python -m dags.standalone up | down     Airflow and the app's Triton, on their usual ports
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from features.locks import alone
from features.settings import Settings
from serving.triton.server import born

DAGS = Path(__file__).resolve().parent
DONE = {"success", "failed"}


class AirflowError(RuntimeError):
    """Airflow did not start, refused a request, or a run failed: says which, and where its log is."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def require_free(port: int, what: str) -> None:
    """One clear sentence instead of a server that dies in its log."""
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
    secret = home / "jwt.secret"
    if not secret.exists():
        secret.write_text(secrets.token_hex(32))
        secret.chmod(0o600)
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
        "AIRFLOW__API_AUTH__JWT_SECRET": secret.read_text(),
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "14400",  # a trainer may run for hours (#67939)
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "OMP_NUM_THREADS": "1",  # our matrices are small: more threads only spin
        "PYTHONWARNINGS": "ignore",
    }


class Airflow:
    """`with Airflow(home, port) as airflow: airflow.run("build_features", {...})`."""

    def __init__(self, home: Path, port: int, extra: Mapping[str, str] | None = None) -> None:
        self.home, self.port = home, port
        self.url = f"http://127.0.0.1:{port}"
        self._environment = environment(home, port) | dict(extra or {})
        self._token = ""

    @property
    def pid_file(self) -> Path:
        return self.home / "standalone.pid"

    def start(self, *, timeout_seconds: float = 240.0, say: Callable[[str], None] = print) -> "Airflow":
        require_free(self.port, "Airflow")
        log = (self.home / "standalone.log").open("ab")
        airflow = str(Path(sys.executable).parent / "airflow")
        process = self._spawn([airflow, "standalone"], log)
        self.pid_file.write_text(f"{process.pid} {born(process.pid)}")
        deadline, began = time.monotonic() + timeout_seconds, time.monotonic()
        while not self._healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AirflowError(f"Airflow did not come up within {timeout_seconds:.0f} s; see {log.name}")
            time.sleep(1)
        say(f"Airflow is up at {self.url} after {time.monotonic() - began:.0f} s")
        return self

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def stop(self) -> None:
        self.stop_recorded(self.home)

    @staticmethod
    def stop_recorded(home: Path) -> None:
        """The whole group that the pid file names: scheduler, processor, triggerer, API server and their workers."""
        pid_file = home / "standalone.pid"
        group = _recorded_group(pid_file)
        for sig, patience_seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
            if group is None or (_signal_group(group, sig) and _group_ends(group, patience_seconds)):
                break
        pid_file.unlink(missing_ok=True)

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One REST call; the token is fetched anew when it has expired."""
        for attempt in (1, 2):
            request = urllib.request.Request(  # noqa: S310  (always our own http://127.0.0.1)
                self.url + path,
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
                    return json.loads(reply.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code == 401 and attempt == 1 and path != "/auth/token":
                    self._token = self.call("GET", "/auth/token")["access_token"]
                    continue
                raise AirflowError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from None
        raise AssertionError("unreachable")

    def _healthy(self) -> bool:
        try:
            health = self.call("GET", "/api/v2/monitor/health")
        except (OSError, AirflowError):
            return False
        return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))

    def trigger(self, dag: str, conf: Mapping[str, object]) -> str:
        """Unpause and start a run by hand; returns its id. Params out of bounds are refused by name (400)."""
        self._await_dag(dag)
        self.unpause(dag)
        run = self.call("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": dict(conf)})
        return str(run["dag_run_id"])

    def unpause(self, dag: str) -> None:
        self._await_dag(dag)
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})

    def runs(self, dag: str) -> set[str]:
        runs = self.call("GET", f"/api/v2/dags/{dag}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
        return {str(run["dag_run_id"]) for run in runs}

    def woken(self, dag: str, before: set[str], *, timeout_seconds: float = 120.0) -> str:
        """The run that an asset has started since `before` was taken."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if new := self.runs(dag) - before:
                return max(new)
            time.sleep(0.5)
        raise AirflowError(f"{dag}: no run within {timeout_seconds:.0f} s, expected its asset to start one")

    def result(self, dag: str, run: str, task: str) -> Any:
        """What a task returned."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.call("GET", f"{path}?deserialize=true")["value"]

    def _await_dag(self, dag: str) -> None:
        for _ in range(120):
            try:
                self.call("GET", f"/api/v2/dags/{dag}")
                return
            except AirflowError:
                time.sleep(1)
        errors = self.call("GET", "/api/v2/importErrors")
        raise AirflowError(f"DAG {dag} has not been parsed; import errors: {json.dumps(errors)[:1500]}")

    def wait(self, dag: str, run: str, *, say: Callable[[str], None] = print, timeout_seconds: float = 900.0) -> None:
        """Until the run has ended; each task is named as it ends. Raises with the failed task's last log lines."""
        seen: set[tuple[str, int]] = set()
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            tasks = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
            for t in tasks:
                key = (t["task_id"], t["map_index"])
                if key not in seen and t["state"] in {*DONE, "skipped", "upstream_failed"}:
                    seen.add(key)
                    index = f"[{t['map_index']}]" if t["map_index"] >= 0 else ""
                    say(f"  {dag}.{t['task_id']}{index}: {t['state']} ({t['duration'] or 0:.1f} s)")
            state = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"]
            if state == "success":
                return
            if state == "failed":
                failed = [t["task_id"] for t in tasks if t["state"] == "failed"]
                raise AirflowError(f"{dag} run {run} failed in {failed}:\n{self._log_tail(dag, run, failed)}")
            time.sleep(1)
        raise AirflowError(f"{dag} run {run} has not ended after {timeout_seconds:.0f} s; see {self.url}/dags/{dag}")

    def _log_tail(self, dag: str, run: str, tasks: list[str]) -> str:
        """The errors that the failed tasks logged, without the frames between."""
        folder = self.home / "logs" / f"dag_id={dag}" / f"run_id={run}"
        files = [p for t in tasks for p in sorted(folder.glob(f"task_id={t}/**/*.log"))]
        lines = [json.loads(line) for p in files[-1:] for line in p.read_text().splitlines() if line.startswith("{")]
        errors = [e for line in lines for e in line.get("error_detail") or []]
        return "\n".join(f"  {e['exc_type']}: {e['exc_value']}" for e in errors) + f"\n  log: {files[-1:]}"


def _recorded_group(pid_file: Path) -> int | None:
    """None where the file names no group, or after a reboot a stranger's. A leader that died leaves its group to us:
    the number is not given away while a process of it lives."""
    try:
        pid, birth = map(int, pid_file.read_text().split())
    except (OSError, ValueError):
        return None
    try:
        return pid if born(pid) == birth else None
    except OSError:
        return pid


def _signal_group(group: int, sig: int) -> bool:
    """False when no process of the group is left."""
    with contextlib.suppress(ChildProcessError):  # it may have been started by another process
        os.waitpid(group, os.WNOHANG)
    try:
        os.killpg(group, sig)
    except ProcessLookupError:
        return False
    return True


def _group_ends(group: int, patience_seconds: float) -> bool:
    end = time.monotonic() + patience_seconds
    while _signal_group(group, 0):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def main(verb: str) -> None:
    from serving.commands.serve import triton
    from serving.triton import supervisor

    var = Settings().var.absolute()
    if verb == "down":
        # whichever folder they were started over, with `make up VAR=…` or by a demo that was killed
        for pid_file in var.rglob("standalone.pid"):
            Airflow.stop_recorded(pid_file.parent)
        for pid_file in (*var.rglob("supervisor.pid"), *var.rglob("triton.pid")):
            supervisor.down(pid_file.parent)
        print("stopped")
        return
    asked, port = triton(), os.environ.get("CROUPIER_AIRFLOW_PORT", "8080")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"CROUPIER_AIRFLOW_PORT: found {port!r}, expected a port from 1 to 65535")
    airflow = Airflow(var / "airflow", int(port))
    with alone(airflow.home / ".up.lock"):  # of two at once the second finds the port busy
        require_free(airflow.port, "Airflow")  # before anything of a running pair is touched
        supervisor.up(asked.home, grpc_port=asked.ports.grpc)
        try:
            airflow.start()
        except AirflowError:
            supervisor.down(asked.home)
            raise
    print(f"Airflow {airflow.url}   Triton gRPC {asked.grpc}   app {asked.home.name}   stop: make down")


if __name__ == "__main__":
    if sys.argv[1:] not in (["up"], ["down"]):
        sys.exit("usage: python -m dags.standalone up | down")
    try:
        main(sys.argv[1])
    except (RuntimeError, ValueError) as error:
        sys.exit(f"croupier: {error}")
