"""`make rehearse [ARGS="--speed 20"]`: docker-compose.yml started for real, without a container engine.

Every service's own command runs with its own environment, user and health check, under the service names, in a root
file system, a network and a process namespace of its own: README.md here. Needs root, PostgreSQL and Redis.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests import namespaces
from tests.rehearsal import stand_ins
from tests.rehearsal.given import ROOT, tracked
from tests.rehearsal.images import bases, building, places

TOOLS = ("unshare", "setpriv", "ip", "curl", "postgres", "initdb", "pg_isready", "redis-server", "redis-cli", "git")
PYTHONS = ("python3.12", *sorted(map(str, Path.home().glob(".pyenv/versions/3.12*/bin/python3.12"))))  # the image's


def missing() -> str:
    """Why nothing can be rehearsed here; "" where it can."""
    if why := namespaces.refused():
        return why
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    install = "install postgresql, redis-server, iproute2 and curl (Debian's packages)"
    return f"found no {', '.join(lacking)}: {install}" if lacking else ""


def airflow() -> Path:
    """A virtual environment as in the image of Airflow: its lock by hash, and the package itself, not editable."""
    home, lock = ROOT / "var" / "rehearsal" / "airflow", ROOT / "locks" / "airflow.lock"
    done, pip = home / ".lock", [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps"]
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        print("rehearsal: installing locks/airflow.lock (once; some minutes, 6 GB)", flush=True)
        subprocess.run([python(), "-m", "venv", "--clear", home], check=True)
        subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", lock], check=True)
        shutil.copy(lock, done)
    with tempfile.TemporaryDirectory() as copy:
        tracked(Path(copy))
        subprocess.run([*pip, "--no-build-isolation", "--force-reinstall", copy], check=True)
    return home


def python() -> str:
    """A Python of the image's version. Exits where there is none."""
    for name in PYTHONS:
        with suppress(OSError):
            if subprocess.run([name, "-c", ""], check=False, capture_output=True).returncode == 0:
                return name
    sys.exit("rehearsal: found no python3.12, which the images have: install it, or pyenv's")


def prefix(python: str) -> Path:
    """Where an interpreter is installed."""
    command = [python, "-c", "import sys; print(sys.base_prefix)"]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--speed", type=float, default=40.0, help="how many times as fast the loop's clock runs")
    asked.add_argument("--images", action="store_true", help="build compose's images (podman), and run inside them")
    asked.add_argument("--minutes", type=float, default=40.0, help="after which it gives up")
    chosen = asked.parse_args()
    if why := missing() or (bases.lacking() if chosen.images else ""):
        print(f"rehearsal: not possible: {why}", file=sys.stderr)
        return 2
    out = ROOT / "var" / "rehearsal"
    shutil.rmtree(out / "logs", ignore_errors=True)
    (out / "logs").mkdir(parents=True)
    environment = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    home = ROOT if chosen.images else airflow()
    built = building.built(prefix(python())) if chosen.images else {}
    built.pop(stand_ins.SERVER, None)
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as base, places.mounted(built) as known:
        given = [home, base, chosen.speed, chosen.minutes, json.dumps(known)]
        command = namespaces.alone([sys.executable, "-m", "tests.rehearsal.inside", *map(str, given)])
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
