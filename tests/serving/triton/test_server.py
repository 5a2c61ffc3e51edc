"""Starting and stopping a real Triton: clear words when it cannot, nothing left when it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.operate import supervisor
from croupier.serving.triton import binary, repository, server
from croupier.serving.triton.binary import TritonUnavailable
from croupier.serving.triton.server import Ports, TritonServer
from tests.serving import apps


def group(pid):
    """Live processes of a group, by /proc: the test's own eyes, which do not look through serving/triton/processes.py."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def test_a_busy_port_is_one_clear_sentence(tmp_path):
    ports = Ports.free()
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", ports.grpc))
        busy.listen()
        with pytest.raises(TritonUnavailable, match=rf"^grpc port {ports.grpc} is not free .*make down"):
            TritonServer(tmp_path, ports=ports).start()


ELSEWHERE = "import sys; from croupier.serving.triton.server import Ports; print(Ports.free().grpc, flush=True); sys.stdin.read()"


def test_no_two_processes_are_given_the_same_free_ports(monkeypatch):
    """Two workers of pytest were, seconds before either's server listened; the second server ended while starting."""
    with subprocess.Popen([sys.executable, "-c", ELSEWHERE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        theirs = int(other.stdout.readline())
        monkeypatch.setattr(server, "FREE_FROM", theirs)  # the only three there are to be had
        monkeypatch.setattr(server, "FREE_NUMBERS", 3)
        with pytest.raises(TritonUnavailable, match=f"found none free from {theirs} to"):
            Ports.free()
        other.kill()
        other.wait()
        assert Ports.free() == Ports.around(theirs)
        with pytest.raises(TritonUnavailable):
            Ports.free()


def test_the_supervisor_outlives_a_full_disk():
    """It ended, and nobody started Triton again when there was room."""
    troubles = [OSError("no space left on device"), TritonUnavailable("not ready"), ValueError("no model.py"), None]
    waited = []

    class Triton:
        def stop(self):
            pass

        def start(self):
            if (trouble := troubles.pop(0)) is not None:
                raise trouble

    class Ended:
        def is_set(self):
            return False

        def wait(self, seconds):
            waited.append(seconds)

    supervisor._restart(Triton(), Ended())
    assert (troubles, waited) == ([], [1.0, 2.0, 4.0])


def test_a_version_without_model_py_is_refused_before_triton_hangs_on_it(tmp_path):
    (tmp_path / "triton" / "select_arm" / "3").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"select_arm/3: found no model.py"):
        TritonServer(tmp_path, ports=Ports.free()).start()


def test_an_unsupported_machine_is_one_clear_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(binary, "IMAGE_ROOT", tmp_path)
    monkeypatch.setattr(binary.platform, "machine", lambda: "riscv64")
    with pytest.raises(TritonUnavailable, match=r"found linux riscv64"):
        binary.find(tmp_path)


def test_the_stub_finds_every_library_it_needs(tmp_path):
    """This interpreter's libpython included: not every machine has it where the system looks."""
    found = binary.find(tmp_path)
    stub = found.backends / "python" / "triton_python_backend_stub"
    linked = subprocess.run(
        ["ldd", stub], env=os.environ | found.environment, capture_output=True, text=True, check=True
    )
    assert "libpython" in linked.stdout
    assert "not found" not in linked.stdout, linked.stdout


def test_a_python_without_its_shared_library_is_one_clear_sentence():
    with pytest.raises(TritonUnavailable, match=r"^found no libpython9\.9\.so\.1\.0 beside .*--enable-shared"):
        binary.libpython("9.9")


def test_the_repository_is_prepared_without_touching_what_is_right(tmp_path):
    assert repository.prepare(tmp_path) == ["reward", "record"]
    config = tmp_path / "reward" / "config.pbtxt"
    os.utime(config, (1, 1))
    apps.write(tmp_path.parent, Uniform())
    assert repository.prepare(tmp_path) == ["reward", "record"]
    assert config.stat().st_mtime == 1
    assert 'name: "select_arm"' in (tmp_path / "select_arm" / "config.pbtxt").read_text()
    text = (tmp_path / "select_arm" / "config.pbtxt").read_text()
    settings = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert "default_queue_policy" not in settings
    assert "response_cache" not in settings
    assert "count: 2" in settings


@pytest.mark.slow
def test_up_serves_and_down_leaves_nothing(tmp_path):
    home = tmp_path / "app"
    apps.write(home, Uniform())
    repository.prepare(home / "triton")
    before = {path: path.stat().st_mtime_ns for path in (home / "triton").rglob("*")}
    with TritonServer(home, ports=Ports.free()) as triton:
        pid = triton.process.pid
        assert server.running(home)["pid"] == pid
        assert len(group(pid)) == 5  # the server, two stubs of select_arm, one each of reward and record
        with Client(triton.grpc, deadline_ms=5000) as client:
            assert client.select(unit_id="u", context={}, arms=["reel-01"]).arm == "reel-01"
        assert list(Path("/dev/shm").glob(f"{triton.shm}*"))
        written = [triton.log, *(home / "spool").glob("log.db*"), home / "triton.secret", home / "unit.key"]
        assert len(written) >= 6
        assert {p.stat().st_mode & 0o777 for p in written} == {0o640, 0o600}
    assert group(pid) == []
    assert list(Path("/dev/shm").glob(f"{triton.shm}*")) == []
    assert server.running(home) is None
    after = {path: path.stat().st_mtime_ns for path in (home / "triton").rglob("*")}
    assert after == before  # a changed file would make the next load start the version over


@pytest.mark.slow
def test_another_process_can_stop_it_even_when_it_hangs(tmp_path):
    home, ports = tmp_path / "app", Ports.free()
    script = (
        "from pathlib import Path; from croupier.serving.triton.server import *\n"
        f"TritonServer(Path({str(home)!r}), ports={ports!r}).start()"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    pid = server.running(home)["pid"]
    os.killpg(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert server.stop_recorded(home)
    assert time.monotonic() - began < 20
    assert group(pid) == []
    assert not server.stop_recorded(home)
    ports.refuse_busy()


@pytest.mark.slow
def test_a_killed_server_leaves_stubs_that_the_next_start_removes(tmp_path):
    home = tmp_path / "app"
    first = TritonServer(home, ports=Ports.free()).start()
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    with TritonServer(home, ports=Ports.free()) as second:
        assert second.alive()
        assert group(first.process.pid) == []
