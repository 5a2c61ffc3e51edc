"""For all tests: tables are as wide as on a wide terminal. rich asks once, when a command's module is imported, so what
one test prints would else depend on which test came first. Full sizes have hours, where they do not say otherwise."""

import gc
import logging
import os
import random
import re
import secrets
import sys
import tempfile
from pathlib import Path

import pytest

os.environ["COLUMNS"] = "160"
# processes that tests start find `tests.…` by its name; it stands last, and no room is imported by its bare name
# (tests/house/test_install.py)
sys.path.append(str(Path(__file__).resolve().parents[1]))
MEMORY, SPARE_BYTES = Path("/dev/shm"), 8 * 2**30
FULL_SECONDS = 3 * 3600
NAMED = ("slow", "alone", "full")
DAGS = Path(__file__).resolve().parent / "dags"


def pytest_configure():
    """Folders of tests lie in memory, where there is plenty of it and nobody chose another place: a suite waits for
    many thousand fsyncs. What must be synced, and when, is seen by tests/synced.py, on any file system."""
    disk = os.statvfs(MEMORY) if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    if disk and not disk.f_flag & os.ST_NOEXEC and not {"TMPDIR", "PYTEST_DEBUG_TEMPROOT"} & set(os.environ):
        available = 1024 * int(re.search(r"MemAvailable: *(\d+)", Path("/proc/meminfo").read_text())[1])
        if min(disk.f_bavail * disk.f_frsize, available) > SPARE_BYTES:
            os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_ignore_collect(collection_path, config):
    """A run of the slow tests does not import the files that have none: that took a third of a minute a process."""
    parts = [part.strip() for part in config.getoption("markexpr").split(" and ")]
    words = [word for word in parts if word in NAMED]
    if words and collection_path.name.startswith("test_") and collection_path.suffix == ".py":
        text = collection_path.read_text()
        return True if any(f"mark.{word}" not in text for word in words) else None
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Of several processes one runs all DAGs: Airflow and its database cost each that has any of them twenty seconds."""
    from xdist.scheduler import LoadFileScheduling

    class DagsTogether(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "tests/dags" if nodeid.startswith("tests/dags/") else super()._split_scope(nodeid)

    return DagsTogether(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items):
    # the DAGs first, then other files with slow tests, so that no process is left with a long one at the end
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (DAGS not in item.path.parents, item.path not in long))
    for item in items:
        # else a run of the slow tests alone would pass over it
        unsaid = [
            word for word in NAMED if item.get_closest_marker(word) and f"mark.{word}" not in item.path.read_text()
        ]
        assert not unsaid, f"{item.nodeid} is marked {unsaid[0]}, which its file does not say"
        if item.get_closest_marker("full") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FULL_SECONDS))


@pytest.fixture(autouse=True, scope="module")
def same_secrets(request):
    """A release's salt and an app's unit key are drawn alike in every run, so that what a test's app draws is as well,
    where it names its events. Two runs of CI failed by a unit that was one of the candidate's 5 %, and by a log that
    was one of the few too weak. Processes that a test starts draw secrets of their own."""
    rng, here, drawn = random.Random(request.node.nodeid), os.getpid(), secrets.token_hex
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_hex", lambda n=32: rng.randbytes(n).hex() if os.getpid() == here else drawn(n))
        yield


@pytest.fixture(autouse=True)
def no_log_into_a_closed_stream():
    """A command that is run in this process, and logs to the stream that it was given, does so no more afterwards."""
    before = logging.root.handlers[:]
    yield
    for handler in logging.root.handlers[:]:
        if type(handler) is logging.StreamHandler and handler not in before:
            logging.root.removeHandler(handler)


def pytest_collection_finish():
    """What was imported and collected stays until the end: the garbage collector need not look through it each time,
    which took a tenth of a run's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
