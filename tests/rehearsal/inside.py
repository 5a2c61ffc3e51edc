"""The rehearsal itself, in its own namespaces: services up, the loop turned by Airflow, each service killed, all accounted for."""

import json
import os
import secrets
import subprocess
import sys
import time
import traceback
from base64 import urlsafe_b64encode
from pathlib import Path

from tests.rehearsal import rooms, stand_ins
from tests.rehearsal.__main__ import ROOT, tracked
from tests.rehearsal.compose import required, services
from tests.rehearsal.running import Running
from tests.rehearsal.story import Story

USERS = "postgres:x:70:70::/tmp:/bin/sh\nredis:x:999:1000::/tmp:/bin/sh\nairflow:x:50000:0::/tmp:/bin/sh\n"
APP, BUCKET = "reels", "croupier"
LOGS = ROOT / "var" / "rehearsal" / "logs"


def variables(text: str, folder: Path) -> dict[str, str]:
    """A value for everything that compose requires."""
    found = {name: secrets.token_hex(24) for name in required(text)}
    found["AIRFLOW_FERNET_KEY"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return found | {"CROUPIER_APP": APP, "CROUPIER_BUCKET": BUCKET, "CROUPIER_TLS_DIR": str(folder)}


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


def main(airflow: Path, base: Path, speed: float, minutes: float) -> int:
    text = (ROOT / "docker-compose.yml").read_text()
    root = base / "root"
    root.mkdir()
    volumes = folders(base)
    given = variables(text, volumes["/croupier/tls"])
    keys(volumes["/croupier/tls"])
    read = services(ROOT / "docker-compose.yml", given)
    rooms.mounted(root, names=[*read, "rehearsal"], seen=homes(airflow), volumes=volumes | {str(LOGS): LOGS})
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
    system = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    running = Running(
        placed,
        path=lambda name: f"{airflow / 'bin' if name.startswith('airflow') else stand_ins.BIN}:{system}",
        logs=LOGS,
        extra={"CROUPIER_CLOCK": moment},
    )
    told = Story(running, given, deadline=time.monotonic() + minutes * 60).told()
    (LOGS / "summary.json").write_text(json.dumps(told, indent=1))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
    except Exception:
        traceback.print_exc()
        sys.exit(1)
