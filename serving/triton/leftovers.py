"""Processes and shared memory of an app's Triton, found by what they are, whatever became of the files that named them.

A killed server leaves its python stubs, and a killed supervisor its server; a pid file may be lost, or not yet written.
But each of them has the app's folder in its command line, and shared memory has the folder's digest in its name.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from croupier.features.store import layout

SERVER, STUB = "tritonserver", "triton_python_backend_stub"
SUPERVISOR = "croupier.serving.operate.supervisor"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 — where POSIX shared memory lives


def groups(home: Path) -> set[int]:
    """Process groups in which a server or a stub over `<home>/triton` lives."""
    repository = home.absolute() / layout.REPOSITORY
    found = set()
    for pid, command in _commands():
        ours = f"--model-repository={repository}" in command or any(a.startswith(f"{repository}/") for a in command)
        if ours and Path(command[0]).name in (SERVER, STUB):
            try:
                found.add(os.getpgid(pid))
            except ProcessLookupError:
                continue
    return found - {os.getpgid(0)}


def supervisors(home: Path) -> set[int]:
    """Supervisors in the background over `home`."""
    wanted = ["-m", SUPERVISOR, str(home.absolute())]
    return {pid for pid, command in _commands() if command[1:4] == wanted}


def prefix(home: Path) -> str:
    """What the name of every shared memory region of this app begins with."""
    return f"croupier_{hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:16]}_"


def sweep(prefix: str) -> None:
    """Remove the shared memory that killed servers left behind."""
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def _commands() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended meanwhile, or is hidden from us
                continue
            if command:
                yield int(entry.name), command.decode(errors="replace").rstrip("\0").split("\0")
