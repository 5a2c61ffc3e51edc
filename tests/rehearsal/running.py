"""Services as processes: started once what they wait for is there, asked for their health, started again when they end."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.rehearsal.compose import Service

UNPRIVILEGED = ("setpriv", "--clear-groups", "--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all")
CHROOT = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin") or "chroot"
LOOK_SECONDS = 1.0


class NotReady(RuntimeError):
    """A service did not become what others wait for: says which, and where its log is."""


@dataclass(frozen=True)
class Place:
    """Where a service runs: below `root` (of an image), in `folder`, with the image's own `environment`."""

    environment: Mapping[str, str] = field(default_factory=dict)
    root: str = "/"
    folder: str = "/"


class Running:
    """All services of a file. `places` says where each one runs, by name; logs lie in `logs`."""

    def __init__(
        self, services: Mapping[str, Service], *, places: Callable[[str], Place], logs: Path, extra: Mapping[str, str]
    ) -> None:
        self.services, self._places, self._logs, self._extra = services, places, logs, extra
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.starts: dict[str, int] = {}
        self._stopping = threading.Event()

    def up(self, *, seconds: float = 600.0) -> None:
        """Starts every service when what it waits for is there. Raises NotReady."""
        left, end = dict(self.services), time.monotonic() + seconds
        while left:
            ready = [name for name, one in left.items() if all(map(self._met, one.waits, one.waits.values()))]
            for name in ready:
                self._start(left.pop(name))
            if time.monotonic() > end:
                raise NotReady(f"not started within {seconds:.0f} s: {', '.join(left)}; their logs: {self._logs}")
            time.sleep(LOOK_SECONDS)
        threading.Thread(target=self._keep, daemon=True).start()

    def healthy(self, name: str) -> bool:
        """True if its process lives and its health check, where it has one, says so."""
        process = self._processes.get(name)
        if process is None or process.poll() is not None:
            return False
        health = self.services[name].health
        return not health or self.run(name, health).returncode == 0

    def await_healthy(self, name: str, *, seconds: float = 300.0) -> float:
        """Waits until it is healthy; returns the seconds. Raises NotReady."""
        began = time.monotonic()
        while not self.healthy(name):
            if time.monotonic() - began > seconds:
                raise NotReady(f"{name}: not healthy within {seconds:.0f} s; its log: {self._logs / name}.log")
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - began

    def kill(self, name: str) -> None:
        """SIGKILL for all processes of a service, as when its container dies."""
        os.killpg(self._processes[name].pid, signal.SIGKILL)
        self._processes[name].wait()

    def stop(self, name: str) -> int:
        """SIGTERM, as compose sends it; returns the exit code, -9 where it had to be killed after its grace."""
        self._stopping.set()
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(self.services[name].grace)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def environment(self, name: str) -> dict[str, str]:
        """What a service has in its environment by compose, and the loop's clock."""
        return self.services[name].environment | dict(self._extra)

    def run(self, name: str, words: list[str], *, seconds: float = 120.0) -> "subprocess.CompletedProcess[str]":
        """Runs other words as a service: its user, its environment."""
        command, environment = self._as(self.services[name], words)
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds, check=False, cwd="/"
        )

    def _met(self, name: str, condition: str) -> bool:
        process = self._processes.get(name)
        if process is None:
            return False
        if condition != "completed_successfully":
            return condition == "started" or self.healthy(name)
        if process.poll():
            raise NotReady(f"{name}: ended with {process.returncode}; its log: {self._logs / name}.log")
        return process.poll() == 0

    def _as(self, one: Service, words: list[str]) -> tuple[list[str], dict[str, str]]:
        (user, _, group), place = one.user.partition(":"), self._places(one.name)
        environment = {"HOME": "/tmp", "LANG": "C.UTF-8", **place.environment} | one.environment | self._extra
        entered = [] if place.root == "/" else [CHROOT, place.root, "env", f"--chdir={place.folder}"]
        return [*entered, *UNPRIVILEGED, "--reuid", user, "--regid", group or "0", *words], environment

    def _start(self, one: Service) -> None:
        command, environment = self._as(one, one.command)
        with (self._logs / f"{one.name}.log").open("ab") as log:
            self._processes[one.name] = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        self.starts[one.name] = self.starts.get(one.name, 0) + 1

    def _keep(self) -> None:
        """restart: unless-stopped."""
        while not self._stopping.is_set():
            for name, process in list(self._processes.items()):
                if self.services[name].restarts and process.poll() is not None and not self._stopping.is_set():
                    self._start(self.services[name])
            time.sleep(LOOK_SECONDS)
