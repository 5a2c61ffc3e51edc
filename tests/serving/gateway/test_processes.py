"""The gateway as processes: several workers, kill -9, and a start that cannot work."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from croupier.serving.gateway.serve import START_SECONDS
from tests.serving.gateway.door import SECONDS, Gateway, decisions, declared, joined


@pytest.mark.medium
def test_kill_9_loses_nothing_that_was_answered(tmp_path):
    answered, paid, waiting = {}, set(), {}
    with Gateway(declared(tmp_path)) as gateway:

        def ask():
            for i in range(10_000):
                try:
                    answered[f"e{i}"] = gateway.rank(eventId=f"e{i}")[1]
                    assert gateway.event(f"e{i}", "reward", {"value": 0.5})[0] == 204
                    paid.add(f"e{i}")
                    waiting[f"d{i}"] = gateway.rank(eventId=f"d{i}", deferActivation=True)[1]
                except OSError:
                    return

        asking = threading.Thread(target=ask)
        asking.start()
        while len(waiting) < 40 and asking.is_alive():
            time.sleep(0.01)
        gateway.stop(signal.SIGKILL)
        asking.join()
    stored = decisions(tmp_path, answered)
    assert {e: a["rewardActionId"] for e, a in answered.items()} == {e: stored[e].arm for e in answered}
    with Gateway(tmp_path) as again:
        for event_id in waiting:
            assert again.event(event_id, "activate")[0] == 204, "it waited on disk"
    rows, _ = joined(tmp_path)
    for event_id, answer in (answered | waiting).items():
        assert rows[event_id]["propensity"] == answer["ranking"][0]["probability"]
    assert all(rows[e]["reward"] == 0.5 for e in paid)
    assert len(paid) >= 40


def workers(gateway, n, *, but=0):
    """The process ids of workers that answer, once there are `n` of them beside `but`."""
    found, end = set(), time.monotonic() + SECONDS
    while len(found) < n and time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):  # it was with the one that died
            found |= {gateway.call("GET", "/v1/apps/shop/health")[1]["worker"]["pid"]} - {but}
    return found


def broken_meanwhile(gateway, toml, pid):
    """A worker dies while no other could start: the last one serves on, and once that is mended there are two again."""
    sound = toml.read_text()
    toml.write_text("[reward\n")
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + SECONDS
    while gateway.said.count("startup failed") < 2 and time.monotonic() < end:
        time.sleep(0.1)
    assert gateway.said.count("startup failed") >= 2, "it is tried again"
    assert gateway.rank(eventId="meanwhile")[0] == 201
    toml.write_text(sound)
    return workers(gateway, 2, but=pid)


def taken(port):
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return bool(probe.connect_ex(("127.0.0.1", port)) == 0)


@pytest.mark.medium
def test_its_health_is_503_while_every_rank_is(tmp_path):
    health, status = "/v1/apps/shop/health", "/personalizer/v1.0/status"
    with Gateway(declared(tmp_path)) as gateway:
        (tmp_path / "shop" / "spool").rename(tmp_path / "away")
        assert gateway.rank(eventId="e")[0] == 503
        code, found = gateway.call("GET", health)
        assert (code, found["well"], found["error"].partition(": ")[0]) == (503, False, "log")
        assert gateway.call("GET", status) == (503, {"isAlive": False})
        (tmp_path / "away").rename(tmp_path / "shop" / "spool")
        assert gateway.rank(eventId="e")[0] == 201
        assert [gateway.call("GET", path)[0] for path in (health, status)] == [200, 200]


def lives(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.medium
def test_several_workers_are_one_gateway(tmp_path):
    with Gateway(declared(tmp_path), "--workers", "2") as gateway:
        pids = workers(gateway, 2)
        assert len(pids) == 2

        def ask(i):
            first, again = gateway.rank(eventId=f"e{i}", deferActivation=True), gateway.rank(eventId=f"e{i}")
            assert first == again, "whichever worker was asked"
            return gateway.event(f"e{i}", "reward", {"value": 1})[0]

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(ask, range(40))) == {204}
        os.kill(min(pids), signal.SIGKILL)
        living = workers(gateway, 2, but=min(pids))
        pids |= living
        assert len(pids) == 3, "one that dies is replaced, and the other answers"
        living = broken_meanwhile(gateway, tmp_path / "shop" / "app.toml", min(living))
        pids |= living
        for pid in living:
            os.kill(pid, signal.SIGSTOP)  # as on a machine that is so busy that they cannot tell their parent a word
        time.sleep(1.5)
        for pid in living:
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        replaced = workers(gateway, 1)
        assert replaced.isdisjoint(pids)
        assert time.monotonic() - began < START_SECONDS / 2, "nobody waits for the word of the dead"
        pids |= replaced
        os.kill(gateway.process.pid, signal.SIGKILL)  # the parent alone
        end = time.monotonic() + SECONDS
        while (held := taken(gateway.port) or any(map(lives, pids))) and time.monotonic() < end:
            time.sleep(0.05)
        assert not held, "workers that nobody would replace are gone"
    assert decisions(tmp_path, [f"e{i}" for i in range(40)]).keys() == {f"e{i}" for i in range(40)}


@pytest.mark.medium
def test_what_cannot_work_is_one_sentence(tmp_path):
    declared(tmp_path)
    (tmp_path / "keys").write_text("short\n")
    (tmp_path / "keys").chmod(0o600)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        for options, said in (
            (["--app", "shpo"], "did you mean shop?"),
            (["--app", "shop", "--listen", busy], f"--listen: found {busy} not to be had"),
            (["--app", "shop", "--listen", "0.0.0.0:9"], "found 0.0.0.0 without --keys"),
            (["--app", "shop", "--keys", str(tmp_path / "keys")], "found a key of 5 characters"),
            (["--app", "shop", "--reward-kind", "clikc"], "found 'clikc', expected a kind of app.toml: click"),
        ):
            done = subprocess.run(
                [str(Path(sys.executable).with_name("croupier")), "gateway", *options],
                env=os.environ | {"CROUPIER_VAR": str(tmp_path)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith("croupier: ")
            assert said in done.stderr
            assert len(done.stderr.splitlines()) == 1
