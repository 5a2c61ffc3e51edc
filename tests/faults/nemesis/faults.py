"""What the nemesis does: each fault is a function of the system and a source of random numbers, and is over when it
returns. True: there was something to break."""

import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random

from tests.faults.nemesis.system import TASKS, System, kill

Fault = Callable[[System, Random], bool]
BACK, AHEAD = -60.0, 1500.0  # seconds that the clock jumps: less than the spool keeps, less than clocks may differ


def kill_server(system: System, rng: Random) -> bool:
    return kill(system.server(), group=True)


def kill_stub(system: System, rng: Random) -> bool:
    found = system.stubs()
    return bool(found) and kill(rng.choice(found))


def kill_all_stubs(system: System, rng: Random) -> bool:
    return sum(kill(pid) for pid in system.stubs()) > 0


def kill_supervisor(system: System, rng: Random) -> bool:
    return sum(kill(pid) for pid in system.supervisors()) > 0


def kill_supervisor_and_server(system: System, rng: Random) -> bool:
    return kill_supervisor(system, rng) and kill_server(system, rng)


def stop_server(system: System, rng: Random) -> bool:
    return _stopped(system.server(), rng.uniform(0.3, 3.0), group=True)


def stop_stub(system: System, rng: Random) -> bool:
    found = system.stubs()
    return bool(found) and _stopped(rng.choice(found), rng.uniform(0.3, 3.0))


def stop_supervisor(system: System, rng: Random) -> bool:
    found = system.supervisors()
    return bool(found) and _stopped(found[0], rng.uniform(0.3, 3.0))


def killer(task: str) -> Fault:
    """Kills a task at whatever it does just now."""

    def fault(system: System, rng: Random) -> bool:
        return task in system.workers and kill(system.workers[task])

    fault.__name__ = f"kill_{task}"
    return fault


def stopper(task: str) -> Fault:
    """Stops a task for some seconds: another one may meanwhile have done what it was about to do."""

    def fault(system: System, rng: Random) -> bool:
        return task in system.workers and _stopped(system.workers[task], rng.uniform(0.5, 4.0))

    fault.__name__ = f"stop_{task}"
    return fault


def outage(mode: str) -> Fault:
    """The store swallows, resets, or answers late."""

    def fault(system: System, rng: Random) -> bool:
        system.proxy.set(mode)
        time.sleep(rng.uniform(2.0, 6.0))
        system.proxy.set("reset")  # ends what hangs
        time.sleep(0.05)
        system.proxy.set("pass")
        return True

    fault.__name__ = f"store_{mode}"
    return fault


class FullDisk:
    """The spool's disk is a small one of its own; full for some seconds."""

    __name__ = "full_disk"

    def __init__(self, folder: Path) -> None:
        command = ["mount", "-t", "tmpfs", "-o", "size=160m", "none", folder]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        self.folder, self.missing = folder, made.stderr.strip() if made.returncode else ""

    def __call__(self, system: System, rng: Random) -> bool:
        self._shrink()
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 65536):
                    pass
            except OSError:
                pass
            os.fsync(file.fileno())
        time.sleep(rng.uniform(1.0, 3.0))
        ballast.unlink()
        return True

    def _shrink(self) -> None:
        """The write-ahead log is cut: one that keeps its size has room for some seconds."""
        with closing(sqlite3.connect(self.folder / "log.db", timeout=5)) as db, suppress(sqlite3.Error):
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        if not self.missing:
            subprocess.run(["umount", "-l", self.folder], check=True)


class Clock:
    """All processes of the app but the clients read a wall clock that jumps, and comes back after some seconds
    (clock_jump.c)."""

    __name__ = "clock_jump"

    def __init__(self, folder: Path) -> None:
        self.missing = "" if shutil.which("cc") else "no C compiler"
        self._file, library = folder / "clock", folder / "clock_jump.so"
        self._file.write_bytes(struct.pack("<q", 0))
        if not self.missing:
            source = Path(__file__).with_name("clock_jump.c")
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        given = {"LD_PRELOAD": str(library), "CLOCK_JUMP_FILE": str(self._file)}
        self.environment = {} if self.missing else given

    def __call__(self, system: System, rng: Random) -> bool:
        self._set(rng.uniform(BACK, 0) if rng.random() < 0.5 else rng.uniform(0, AHEAD))
        time.sleep(rng.uniform(2.0, 5.0))
        self._set(0.0)
        return True

    def _set(self, seconds: float) -> None:
        with self._file.open("r+b") as file:  # in place: it is mapped
            file.write(struct.pack("<q", int(seconds * 1e9)))


def deck(clock: Clock, disk: FullDisk) -> tuple[list[Fault], list[str]]:
    """Every fault that this machine allows; and what is left out, with the reason."""
    special: list[Fault] = [fault for fault in (clock, disk) if not fault.missing]
    skipped = [f"{fault.__name__}: {fault.missing}" for fault in (clock, disk) if fault.missing]
    server: list[Fault] = [kill_server, kill_stub, kill_all_stubs, kill_supervisor, kill_supervisor_and_server]
    stopped: list[Fault] = [stop_server, stop_stub, stop_supervisor]
    tasks = [killer(task) for task in TASKS] + [stopper(task) for task in TASKS]
    return [*server, *stopped, *tasks, *map(outage, ("black_hole", "reset", "delay")), *special, *special], skipped


def _stopped(pid: int | None, seconds: float, *, group: bool = False) -> bool:
    if not kill(pid, signal.SIGSTOP, group=group):
        return False
    time.sleep(seconds)
    return kill(pid, signal.SIGCONT, group=group)
