"""Processes that torchrun starts end with who asked for them: killed, so that it could end nothing by itself."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from croupier.features.engines import with_parent
from croupier.features.engines.engine import LocalEngine
from croupier.features.engines.torchrun import RESTARTS
from tests.features.engines import counted

pytestmark = pytest.mark.slow  # torchrun imports torch

PATIENCE = 120  # seconds
PROGRAM = (
    "import pathlib, sys, threading; from croupier.features.engines.engine import LocalEngine; "
    "from tests.features.engines import counted; folder = pathlib.Path(sys.argv[1]); "
    "ask = lambda: LocalEngine().together(counted.waits, {'folder': str(folder)}, workers=2, folder=folder); "
)
STARTS = {
    "by its main thread": "ask()",
    "by another thread": "asking = threading.Thread(target=ask); asking.start(); asking.join()",
}


def workers(folder: Path) -> list[psutil.Process]:
    """The two processes, once both have begun."""
    while len(found := list(folder.glob("*.pid"))) < 2:
        time.sleep(0.05)
    return [psutil.Process(int(path.stem)) for path in found]


def left(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that do not end; they are ended here, so that a failed test leaves none."""
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    for process in alive:
        process.kill()
    return alive


@pytest.mark.parametrize("start", STARTS)
def test_a_killed_parent_leaves_no_process_behind(tmp_path, start):
    with subprocess.Popen([sys.executable, "-c", PROGRAM + STARTS[start], str(tmp_path)]) as running:
        both = workers(tmp_path)
        every = psutil.Process(running.pid).children(recursive=True)
        assert len(every) == 3  # torchrun, and its two
        assert set(both) < set(every)
        running.kill()
        assert left(every) == []


def test_a_killed_torchrun_leaves_no_process_behind_and_another_takes_its_place(tmp_path):
    failed = []

    def ask():
        try:
            LocalEngine().together(counted.waits, {"folder": str(tmp_path)}, workers=2, folder=tmp_path)
        except RuntimeError as error:
            failed.append(str(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    for _ in range(1 + RESTARTS):
        both = workers(tmp_path)
        (torchrun,) = {process.ppid() for process in both}
        for path in tmp_path.glob("*.pid"):
            path.unlink()
        psutil.Process(torchrun).kill()
        assert left(both) == []
    asking.join()
    assert "counted:waits: failed in 2 processes, restarts included" in failed[0]


def test_who_comes_after_its_parent_has_ended_ends_at_once(tmp_path):
    """Between the start of a process and its wish to end with its parent the parent may have died."""
    command = [sys.executable, "-m", with_parent.__name__, "1", "http.server", "--bind", "127.0.0.1", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode == -15
