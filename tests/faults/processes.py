"""Finding the processes of a server under test."""

from pathlib import Path


def stubs(group: int, model: str) -> list[int]:
    """Pids of a model's python stubs in a server's process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and b"python_backend_stub" in line and f"/{model}/".encode() in line:
                found.append(int(entry.name))
    return found
