"""The rehearsal itself, in its own namespaces: services up, the loop turned by Airflow, each service killed, all accounted for."""

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.rehearsal import rooms, stand_ins
from tests.rehearsal.compose import services
from tests.rehearsal.given import BUCKET, COMPOSE, ROOT, tracked, variables
from tests.rehearsal.images import places
from tests.rehearsal.running import Place, Running
from tests.rehearsal.story import Story

USERS = "postgres:x:70:70::/tmp:/bin/sh\nredis:x:999:1000::/tmp:/bin/sh\nairflow:x:50000:0::/tmp:/bin/sh\n"
SHARED = ("/croupier/var", "/croupier/tls", "/opt/airflow/logs", "/opt/airflow/run")  # what images have mounted
LOGS = ROOT / "var" / "rehearsal" / "logs"


def folders(base: Path) -> dict[str, Path]:
    """The volumes of compose, by where they are mounted, each its first user's; and the code, as an image has it."""
    code = base / "code"
    code.mkdir()
    tracked(code)
    made = {"/croupier": code}
    owners = {
        "/croupier/var": (50000, 0), "/croupier/tls": (50000, 0), "/opt/airflow/logs": (50000, 0),
        "/opt/airflow/run": (50000, 0), "/var/lib/postgresql/data": (70, 70), "/data": (999, 1000),
    }  # fmt: skip
    for path, (user, group) in owners.items():
        folder = base / path.strip("/").replace("/", "-")
        folder.mkdir(mode=0o700 if "postgresql" in path else 0o770)
        os.chown(folder, user, group)
        made[path] = folder
    for inner in ("var", "tls"):
        (code / inner).mkdir(exist_ok=True)
    return made


def keys(tls: Path) -> None:
    """The files of `croupier keys tls`, which user 50000 alone can read."""
    command = [str(stand_ins.BIN / "croupier"), "keys", "tls", str(tls), "--host", "triton", "--host", "127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    for file in tls.iterdir():
        os.chown(file, 50000, 0)
        file.chmod(0o400)


def homes(airflow: Path) -> list[Path]:
    """What must be seen where it lies: the repository, and the interpreters of both environments."""
    bases = {Path(sys.base_prefix), Path(os.path.realpath(airflow / "bin" / "python")).parents[1]}
    bases |= {airflow.resolve()}  # where it is a link to a place that outlives the checkout
    return [ROOT, *(base for base in bases if not any(map(base.is_relative_to, ("/usr", ROOT))))]


def main(airflow: Path, base: Path, speed: float, minutes: float, images: Mapping[str, dict[str, Any]]) -> int:
    root = base / "root"
    root.mkdir()
    volumes = folders(base)
    given = variables(volumes["/croupier/tls"])
    keys(volumes["/croupier/tls"])
    read = services(COMPOSE, given)
    names, shared = [*read, "rehearsal"], {at: volumes[at] for at in SHARED}
    rooms.mounted(root, names=names, seen=homes(airflow), volumes=volumes | {str(LOGS): LOGS})
    built = places.laid(root, images, names, shared)
    with (root / "etc" / "passwd").open("a") as users:
        users.write(USERS)
    (root / "run" / "postgresql").mkdir()
    os.chown(root / "run" / "postgresql", 70, 70)
    (root / "var" / "run").symlink_to("/run")
    rooms.closed(root)
    rooms.entered(root)
    command = [str(stand_ins.BIN / "croupier"), "simulate", "clock", "--speed", str(speed)]
    moment = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    aws = {"AWS_ACCESS_KEY_ID": given["S3_ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": given["S3_SECRET_KEY"]}
    placed = stand_ins.placed(read, bucket=BUCKET, keys=aws | {"AWS_DEFAULT_REGION": "us-east-1"})

    def place(name: str) -> Place:
        own = airflow / "bin" if name.startswith("airflow") else stand_ins.BIN
        return built.get(name) or Place({"PATH": f"{own}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"})

    running = Running(placed, places=place, logs=LOGS, extra={"CROUPIER_CLOCK": moment})
    story = Story(running, given, stand_ins.why(images), deadline=time.monotonic() + minutes * 60)
    told = story.told()
    (LOGS / "summary.json").write_text(json.dumps(told, indent=1))
    return 0


if __name__ == "__main__":
    try:
        folder, room, clock, patience, images = sys.argv[1:]
        sys.exit(main(Path(folder), Path(room), float(clock), float(patience), json.loads(images)))
    except Exception:
        traceback.print_exc()
        sys.exit(1)
