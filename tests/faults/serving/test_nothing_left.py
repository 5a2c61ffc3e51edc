"""`down` leaves no process and no shared memory, whichever of supervisor, server and stubs were killed before."""

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from croupier.features.store import layout
from croupier.models.baselines import Uniform
from croupier.serving.operate import supervisor
from croupier.serving.triton import leftovers, server
from croupier.serving.triton.server import Ports, TritonServer
from tests.faults.processes import stubs
from tests.serving import apps

pytestmark = pytest.mark.slow


def of(home):
    """Every live process that has this folder in its command line: the test's own eyes."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        command = process.info["cmdline"] or []
        if (
            process.info["status"] != psutil.STATUS_ZOMBIE
            and any(str(home) in a for a in command)
            and process.pid != os.getpid()
        ):
            found.append((process.pid, command[:4]))
    return found


def regions(home):
    """Shared memory of this app alone: other tests run beside this one."""
    return {p.name for p in Path("/dev/shm").glob(f"{leftovers.prefix(home)}*")}


def usual(folder):
    apps.write(folder, Uniform())
    return supervisor.up(folder, grpc_port=Ports.free().grpc)


@pytest.mark.parametrize("killed", [
    ("supervisor", "server", "files"), ("supervisor", "one stub", "server"),
    *(pytest.param(each, marks=pytest.mark.full) for each in (
        ("server", "supervisor"),
        ("supervisor", "server"), ("supervisor", "stubs"), ("supervisor", "files"),
    )),
], ids="+".join)  # fmt: skip
def test_down_leaves_nothing(tmp_path, killed):
    usual(tmp_path)
    pid = server.running(tmp_path)["pid"]
    supervising = int((tmp_path / layout.SUPERVISOR_PID).read_text().split()[0])
    os.kill(supervising, signal.SIGSTOP)  # so that it does not repair what is broken before it is killed itself
    try:
        for what in killed:
            if what == "supervisor":
                os.kill(supervising, signal.SIGKILL)
            elif what == "server":
                os.kill(pid, signal.SIGKILL)
            elif what == "files":
                (tmp_path / "triton.pid").unlink()
                (tmp_path / layout.SUPERVISOR_PID).unlink()
            else:
                for each in stubs(pid, "select_arm")[: 1 if what == "one stub" else None]:
                    os.kill(each, signal.SIGKILL)
        time.sleep(0.5)
        left = of(tmp_path)
        assert regions(tmp_path) or "server" not in killed  # a server that was killed leaves what must be swept
        supervisor.down(tmp_path)
        assert of(tmp_path) == []
        assert regions(tmp_path) == set()
        assert not supervisor.down(tmp_path)
    finally:
        for each, _ in of(tmp_path):
            os.kill(each, signal.SIGKILL)
    print(killed, "left before down:", left)


class Harassed(TritonServer):
    """A stub of it is killed in its first start, as soon as there is one."""

    lives = 0

    def _wait_ready(self, models, seconds):
        self.lives += 1
        deadline = time.monotonic() + 20
        while self.lives == 1 and time.monotonic() < deadline:
            if found := stubs(self.process.pid, "select_arm"):
                os.kill(found[0], signal.SIGKILL)
                os.kill(self.process.pid, signal.SIGKILL)  # the start fails for sure, not only with luck
                break
        super()._wait_ready(models, seconds)


def test_a_kill_in_the_first_start_does_not_end_the_supervisor(tmp_path):
    apps.write(tmp_path, Uniform())
    triton, ended = Harassed(tmp_path, ports=Ports.free()), threading.Event()
    watch = threading.Thread(target=supervisor.supervise, args=(triton, ended))
    watch.start()
    try:
        began = time.monotonic()
        while not (triton.lives >= 2 and supervisor.healthy(triton.grpc)):
            assert watch.is_alive(), "the supervisor has ended"
            assert time.monotonic() - began < 60
            time.sleep(0.2)
    finally:
        ended.set()
        watch.join()
    assert of(tmp_path) == []


def test_another_apps_processes_are_left_alone(tmp_path):
    """Its folder's name begins as ours does."""
    ours, theirs = tmp_path / "app", tmp_path / "app2"
    apps.write(theirs, Uniform())
    with TritonServer(theirs, ports=Ports.free()) as other:
        assert leftovers.groups(theirs) == {other.process.pid}
        assert leftovers.groups(ours) == set()
        assert not supervisor.down(ours)
        assert other.alive()
        assert list(Path("/dev/shm").glob(f"{other.shm}*"))


@pytest.mark.parametrize(
    "killed",
    ["supervisor+server", *(pytest.param(f"supervisor+{rest}", marks=pytest.mark.full) for rest in ("files", "stubs"))],
)
def test_up_after_kills_leaves_one_server_that_decides(tmp_path, killed):
    """On the very ports of before: what is left of the former one is ended first, its shared memory with it."""
    port = usual(tmp_path).ports.grpc
    pid = server.running(tmp_path)["pid"]
    try:
        os.kill(int((tmp_path / layout.SUPERVISOR_PID).read_text().split()[0]), signal.SIGKILL)
        if "server" in killed:
            os.kill(pid, signal.SIGKILL)
        for each in stubs(pid, "select_arm") if "stubs" in killed else ():
            os.kill(each, signal.SIGKILL)
        for name in ("triton.pid", layout.SUPERVISOR_PID) if "files" in killed else ():
            (tmp_path / name).unlink()
        before = regions(tmp_path)
        supervisor.up(tmp_path, grpc_port=port)
        assert regions(tmp_path) & before == set()
        assert before
        assert supervisor.healthy(f"127.0.0.1:{port}")
        assert len(leftovers.groups(tmp_path)) == len(leftovers.supervisors(tmp_path)) == 1
        assert server.running(tmp_path)["pid"] != pid
    finally:
        supervisor.down(tmp_path)
    assert (of(tmp_path), regions(tmp_path)) == ([], set())


class Hunted(TritonServer):
    """Killed in each of its first starts, each time a little later, until it is let alone."""

    starts, hunted = 0, 4

    def _wait_ready(self, models, seconds):
        self.starts += 1
        if self.starts <= self.hunted:
            time.sleep(0.3 * self.starts)
            os.killpg(self.process.pid, signal.SIGKILL)
        super()._wait_ready(models, seconds)


def test_a_server_that_is_killed_at_each_start_comes_back_by_itself(tmp_path):
    """It stays down while it is hunted; the supervisor neither ends nor gives up."""
    apps.write(tmp_path, Uniform())
    triton, ended = Hunted(tmp_path, ports=Ports.free()), threading.Event()
    watch = threading.Thread(target=supervisor.supervise, args=(triton, ended))
    watch.start()
    try:
        began = time.monotonic()
        while not (triton.starts > triton.hunted and supervisor.healthy(triton.grpc)):
            assert watch.is_alive(), "the supervisor has ended"
            assert time.monotonic() - began < 180
            time.sleep(0.2)
        assert triton.starts == triton.hunted + 1
    finally:
        ended.set()
        watch.join()
    assert (of(tmp_path), regions(tmp_path)) == ([], set())
