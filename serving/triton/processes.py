"""Processes of servers, which outlive who started them: which one a file names, how a whole group of them is ended, and
what Python's collections of garbage leave alone in them.

A pid alone may be a stranger's after a reboot, so it is kept with its time of birth.
"""

import contextlib
import gc
import os
import signal
import time
from pathlib import Path
from typing import IO


def born(pid: int) -> int:
    """Returns the start time of a process in clock ticks since boot (field 22 of /proc/PID/stat). OSError if there is
    none."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def settled() -> None:
    """Takes what is alive now out of Python's collections of garbage, for good: called once a server has loaded what it
    serves with. A whole collection of it stops all threads for .1 s or .2 s, once in some ten thousand decisions."""
    gc.collect()
    gc.freeze()


UMASK = 0o027  # of servers: what they write is for the owner, and for its group to read


def private_log(path: Path, mode: str) -> IO[bytes]:
    """A log file, opened with `mode` ("wb" | "ab"), 0640 whatever it was before: it may quote a request."""
    how = os.O_APPEND if mode == "ab" else os.O_TRUNC
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o640)
    os.fchmod(handle, 0o640)
    return os.fdopen(handle, mode)


def record(file: Path, pid: int) -> None:
    """Notes a process in a file: its id, and when it was born."""
    file.write_text(f"{pid} {born(pid)}")


def recorded(file: Path) -> int | None:
    """The pid that `file` names; None where it names none, or where a stranger has it now. A leader that died leaves
    its group to us: the number is not given away while a process of the group lives."""
    try:
        pid, birth = map(int, file.read_text().split())
    except (OSError, ValueError):
        return None
    try:
        return pid if born(pid) == birth else None
    except OSError:
        return pid


def stop_group(group: int, *, patience_seconds: float) -> None:
    """Sends SIGTERM to all of the group, and SIGKILL to what is left after the patience."""
    for number, seconds in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(group, signal.SIGCONT)  # a stopped process would not act on SIGTERM
            os.killpg(group, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and _lives(group):
            time.sleep(0.05)


def stop_process(pid: int, *, patience_seconds: float) -> bool:
    """Stops one process, which ends those it started by itself. False if there was none."""
    found = False
    for number, seconds in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, 5.0)):
        try:
            birth = born(pid)
            os.kill(pid, number)
            found = True
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and born(pid) == birth:
                _reap(pid)
                time.sleep(0.05)
        except OSError:  # it is gone
            break
    return found


def _lives(group: int) -> bool:
    """True if any process of the group has not ended (a zombie has)."""
    _reap(group)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                return True
    return False


def _reap(pid: int) -> None:
    """Where it is a child of ours that has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
