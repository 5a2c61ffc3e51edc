"""The whole of one app on this host, as processes that can be killed: supervisor, Triton and its stubs, the tasks that
Airflow would call, clients, and S3 behind a proxy. `keep` starts again what has died, as an init system and a scheduler
would."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import boto3
import psutil

from croupier.features.encoding import catalogue
from croupier.features.schema import Arm
from croupier.features.store import layout
from croupier.serving.operate import supervisor
from croupier.serving.triton import leftovers
from croupier.serving.triton.server import Ports
from tests.faults.nemesis import worker
from tests.faults.nemesis.clients import ARMS
from tests.faults.nemesis.nursery import Nursery, alive
from tests.faults.processes import stubs
from tests.faults.proxy import Proxy
from tests.moto_server import KEYS

TASKS = tuple(worker.EVERY)
APP_TOML = """
[reward]
window_seconds = 5.0
range = [0.0, 1.0]
[reward.kinds.click]
[context.age]
type = "numeric"
[arm.price]
type = "numeric"
[policies]
floor = 0.04
[rollout]
min_decisions = 300
latency_p99_ms = 1000.0
"""
DEAD_SECONDS = 1.0  # how long what was killed stays so
ROOT = Path(__file__).resolve().parents[3]


class System:
    """Started by `start`; `environment` goes to all processes of the app but the clients'."""

    def __init__(self, folder: Path, moto: str, environment: dict[str, str]) -> None:
        self.folder, self.home = folder, folder / "var" / worker.APP
        self.history, self.outputs = folder / "clients", folder / "out"
        for each in (self.home / layout.SPOOL_LOG.partition("/")[0], self.history, self.outputs):
            each.mkdir(parents=True, exist_ok=True)
        (self.home / layout.APP_TOML).write_text(APP_TOML)
        catalogue.write(self.home / layout.CATALOGUE, [Arm(arm_id=a, features={"price": 1.0}) for a in ARMS])
        bucket = f"b-{uuid4().hex}"
        boto3.client("s3", endpoint_url=f"http://{moto}").create_bucket(Bucket=bucket)
        self.proxy, self.port = Proxy(moto), Ports.free().grpc
        self.environment = {
            **os.environ, **KEYS, "CROUPIER_VAR": str(folder / "var"), "CROUPIER_APP": worker.APP,
            "CROUPIER_STORE": f"s3://{bucket}/p", "CROUPIER_S3_ENDPOINT": f"http://{self.proxy.url}",
            "CROUPIER_HOST": "h", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        self.nursery = Nursery(self.outputs, self.environment | environment)
        self.workers: dict[str, int] = {}
        self.clients: list[subprocess.Popen[bytes]] = []
        self.restarts = dict.fromkeys((*TASKS, "up"), -1)
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep)

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, *, clients: int, rate: float, seed: int) -> None:
        self._up()
        self._work("publish")
        while not leftovers.groups(self.home) or not supervisor.healthy(self.url):
            time.sleep(0.3)
        for i in range(clients):
            told = [self.url, str(self.history), f"c{i}", str(seed + 100 * i), str(rate / clients)]
            command = [sys.executable, "-m", "tests.faults.nemesis.clients", *told]
            self.clients.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, env=self.environment))
        self._keeper.start()

    def server(self) -> int | None:
        """The process group of the Triton that runs."""
        return next(iter(leftovers.groups(self.home)), None)

    def stubs(self) -> list[int]:
        group = self.server()
        return [] if group is None else stubs(group, "select_arm") + stubs(group, "reward")

    def supervisors(self) -> list[int]:
        return sorted(leftovers.supervisors(self.home))

    def end_clients(self) -> None:
        """They stop asking and deliver what they owe."""
        (self.history / "stop").touch()
        for client in self.clients:
            client.wait(150)

    def end_workers(self) -> None:
        self._ended.set()
        self._keeper.join()
        for pid in self.workers.values():
            kill(pid)

    def close(self) -> None:
        """Leaves no process, whatever happened before."""
        if self._keeper.is_alive():
            self.end_workers()
        for client in self.clients:
            client.kill()
            client.wait()
        self.nursery.close()
        supervisor.down(self.home)
        for each in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in argument for argument in each.info["cmdline"] or ()):
                each.kill()
        self.proxy.close()

    def _up(self) -> None:
        self.restarts["up"] += 1
        self.nursery.run("up", str(self.port))

    def _work(self, task: str) -> None:
        self.restarts[task] += 1
        self.workers[task] = self.nursery.start(task)

    def _keep(self) -> None:
        for task in TASKS:
            if task not in self.workers:
                self._work(task)
        while not self._ended.wait(DEAD_SECONDS):
            for task, pid in self.workers.items():
                if not alive(pid):
                    self._work(task)
            if not self.supervisors():
                self._up()


def kill(pid: int | None, number: int = signal.SIGKILL, *, group: bool = False) -> bool:
    """True if there was such a process."""
    if pid is None:
        return False
    try:
        (os.killpg if group else os.kill)(pid, number)
    except ProcessLookupError:
        return False
    return True
