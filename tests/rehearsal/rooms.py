"""A root file system of one's own: what the images have of this machine, read-only, and the volumes of compose, empty.

Run as root in fresh mount, network and process namespaces (tests/namespaces.py), so that nothing outlives it and no port is taken.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

OF_THE_SYSTEM = ("bin", "lib", "lib64", "sbin", "usr", "dev", "proc", "sys")
SHARED_MEMORY = "size=2g,mode=1777"


def mounted(root: Path, *, names: Iterable[str], seen: Iterable[Path], volumes: dict[str, Path]) -> None:
    """Makes `root`: the system and the paths in `seen` where they lie, read-only; each volume's folder writable at its
    path; /etc/hosts with these names, all of them this machine; /tmp in memory."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    _mount("-t", "tmpfs", "-o", "mode=755", "none", root)
    for name in OF_THE_SYSTEM:
        if Path("/", name).exists():
            _bound(Path("/", name), root / name, read_only=name not in {"dev", "proc"})
    shutil.copytree("/etc", root / "etc", symlinks=True, ignore=shutil.ignore_patterns("shadow*", "gshadow*"))
    (root / "etc" / "hosts").write_text(_hosts(names))
    for path in seen:
        _bound(path, root / path.relative_to("/"), read_only=True)
    for path, folder in volumes.items():
        _bound(folder, root / path.lstrip("/"), read_only=False)
    _in_memory(root)


def of_image(image: Path, root: Path, *, names: Iterable[str], volumes: dict[str, Path]) -> None:
    """Makes `root`: the files of an image, which stay as they are, below what a container engine lays over them: the
    volumes at their paths, devices and processes, the names of the services, /tmp and shared memory."""
    layer = root.with_name(f"{root.name}-layer")
    for folder in (root, layer):
        folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", "mode=755", "none", layer)
    upper, work = layer / "upper", layer / "work"
    upper.mkdir()
    work.mkdir()
    _mount("-t", "overlay", "-o", f"lowerdir={image},upperdir={upper},workdir={work}", "none", root)
    for name in ("dev", "proc"):
        _bound(Path("/", name), root / name, read_only=False)
    (root / "etc" / "hosts").write_text(_hosts(names))
    for path, folder in volumes.items():
        _bound(folder, root / path.lstrip("/"), read_only=False)
    _in_memory(root)
    closed(root)


def closed(root: Path) -> None:
    """From here on nothing but volumes, /tmp, /run and shared memory can be written to."""
    _mount("-o", "remount,bind,ro", root)


def entered(root: Path) -> None:
    """This process, and what it starts, see `root` as /."""
    os.chroot(root)
    os.chdir("/")


def _hosts(names: Iterable[str]) -> str:
    return "".join(f"127.0.0.1 {name}\n" for name in ("localhost", *names))


def _in_memory(root: Path) -> None:
    for name, options in (("tmp", "mode=1777"), ("dev/shm", SHARED_MEMORY), ("run", "mode=755")):
        (root / name).mkdir(exist_ok=True)
        _mount("-t", "tmpfs", "-o", options, "none", root / name)


def _bound(path: Path, at: Path, *, read_only: bool) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        at.mkdir(exist_ok=True)
    else:
        at.touch()
    _mount("--rbind", path, at)
    if read_only:
        _mount("-o", "remount,bind,ro", at)


def _mount(*words: object) -> None:
    done = subprocess.run(["mount", *map(str, words)], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"rehearsal: mount {' '.join(map(str, words))}: {done.stderr.strip()}")
