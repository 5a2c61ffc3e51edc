"""The supervisor: a dead Triton and one that lives but does not decide come back by themselves."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.operate import supervisor
from croupier.serving.triton import server
from croupier.serving.triton.server import Ports
from tests.faults.processes import stubs
from tests.serving import apps

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    apps.write(folder, Uniform())
    port = Ports.free().grpc
    supervisor.up(folder, grpc_port=port)
    yield folder
    assert supervisor.down(folder)
    assert server.running(folder) is None
    assert not supervisor.down(folder)
    Ports.around(port).refuse_busy()


@pytest.mark.parametrize("fault", ["server killed", "both stubs killed", "stopped"])
def test_it_comes_back(home, fault):
    record = server.running(home)
    url = f"127.0.0.1:{record['ports']['grpc']}"
    with Client(url, deadline_ms=100) as client:
        answered = [client.select(unit_id="u", context={}, arms=["reel-01", "reel-02"]).role for _ in range(20)]
        assert "champion" in answered
        time.sleep(1.5)  # the supervisor has seen it well
        if fault == "server killed":
            os.kill(record["pid"], signal.SIGKILL)
        elif fault == "both stubs killed":
            for pid in stubs(record["pid"], "select_arm"):
                os.kill(pid, signal.SIGKILL)
        else:
            os.killpg(record["pid"], signal.SIGSTOP)
        broken = time.monotonic()
        while (chosen := client.select(unit_id="u", context={}, arms=["reel-01", "reel-02"])).role != "fallback":
            assert time.monotonic() - broken < 10
        while (chosen := client.select(unit_id="u", context={}, arms=["reel-01", "reel-02"])).role != "champion":
            assert chosen.role == "fallback"
            assert time.monotonic() - broken < 60, (home / "supervisor.log").read_text()
            time.sleep(0.05)
        print(f"{fault}: model decisions again after {time.monotonic() - broken:.1f} s")
        assert client.flush(10)
    assert server.running(home)["pid"] != record["pid"]


class Maimed(server.TritonServer):
    """Its first life has no stub that could answer."""

    lives = 0

    def start(self):
        super().start()
        self.lives += 1
        for pid in stubs(self.process.pid, "select_arm") if self.lives == 1 else ():
            os.kill(pid, signal.SIGKILL)
        return self


def test_so_does_one_that_never_decided(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_SECONDS", 6.0)
    apps.write(tmp_path, Uniform())
    triton, ended = Maimed(tmp_path, ports=Ports.free()), threading.Event()
    watch = threading.Thread(target=supervisor.supervise, args=(triton, ended))
    watch.start()
    began = time.monotonic()
    try:
        while not (triton.lives >= 2 and supervisor.healthy(triton.grpc)):
            assert time.monotonic() - began < 60
            time.sleep(0.2)
    finally:
        ended.set()
        watch.join()
    assert not triton.alive()


def test_of_two_ups_at_once_the_second_waits_and_one_server_is_left(home):
    """Unguarded, each stopped what the other had begun, or found its ports taken."""
    port = server.running(home)["ports"]["grpc"]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: supervisor.up(home, grpc_port=port), range(2)))
    assert [each.grpc for each in both] == [f"127.0.0.1:{port}"] * 2
    assert server.running(home)["ports"]["grpc"] == port
    supervised = [p for p in psutil.process_iter(["cmdline"]) if str(home) in (p.info["cmdline"] or [])]
    assert len(supervised) == 1
    assert supervisor.healthy(f"127.0.0.1:{port}")
