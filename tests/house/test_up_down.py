"""`make up` and `make down`: both servers answer, and afterwards no process of theirs is left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from dags.standalone import free_port
from features import catalogue
from features.workspace import Workspace
from features.worlds.reels import World

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def groups_alive(groups):
    return [p for p in psutil.process_iter(["pid"]) if _group(p.pid) in groups and p.status() != psutil.STATUS_ZOMBIE]


def listening(groups):
    """Every (address, port) on which a process of these groups listens."""
    found = set()
    for process in groups_alive(groups):
        with contextlib.suppress(psutil.NoSuchProcess):
            listens = [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
            found |= {(c.laddr.ip.removeprefix("::ffff:"), c.laddr.port) for c in listens}
    return found


def _group(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def test_up_answers_and_down_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_APP", "reels")
    port = free_port()
    monkeypatch.setenv("CROUPIER_AIRFLOW_PORT", str(port))
    w, world = Workspace.open("reels"), World()
    w.home.mkdir()
    (w.home / "app.toml").write_text(world.app_toml())
    catalogue.write(w.home / "catalogue.json", world.arms())
    command = [sys.executable, "-m", "dags.standalone"]
    try:
        up = subprocess.run([*command, "up"], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
        assert up.returncode == 0, up.stdout + up.stderr
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health") as reply:
            health = json.load(reply)
        assert health["scheduler"]["status"] == "healthy"
        groups = {
            int((tmp_path / "airflow" / "standalone.pid").read_text().split()[0]),
            int(json.loads((tmp_path / "reels" / "triton.pid").read_text())["pid"]),
        }
        assert len({_group(p.pid) for p in groups_alive(groups)}) == 2
        triton = json.loads((tmp_path / "reels" / "triton.pid").read_text())["ports"]
        assert listening(groups) == {("127.0.0.1", each) for each in (port, *triton.values())}, "a door that is not known"
        again = subprocess.run([*command, "up"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert (again.returncode, again.stderr.startswith(f"croupier: port {port} is busy")) == (1, True)
        assert json.loads((tmp_path / "reels" / "triton.pid").read_text())["pid"] in groups, "what runs is left alone"
        assert len({_group(p.pid) for p in groups_alive(groups)}) == 2
    finally:
        down = subprocess.run([*command, "down"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert down.returncode == 0, down.stderr
    left = groups_alive(groups)
    for process in left:
        os.kill(process.pid, signal.SIGKILL)
    assert not left, left
