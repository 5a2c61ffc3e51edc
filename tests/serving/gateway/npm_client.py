"""Personalizer's JavaScript client: npm installs it, and what it needs, by the lock in npm/ and once; node runs it."""

import hashlib
import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

LOCKED = Path(__file__).with_name("npm")
HOME = Path(__file__).resolve().parents[3] / "var" / "npm"
SECONDS = 240
CI = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=30000"]


@cache
def missing() -> str:
    """Why the client cannot be used here, "" where it can."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "no npm and node on the path"
    if installed().exists():
        return ""
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        for name in ("package.json", "package-lock.json", "client.js"):
            shutil.copy(LOCKED / name, scratch)
        try:
            done = subprocess.run([npm, *CI], cwd=scratch, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"npm did not install its lock in {SECONDS} s"
        if done.returncode:
            return f"npm cannot install its lock here: {done.stderr.strip()[-300:]}"
        Path(scratch).rename(installed())
        Path(scratch).mkdir()  # for TemporaryDirectory to remove
    return ""


def installed() -> Path:
    """Where it is, by what it was made of."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(LOCKED.iterdir())))
    return HOME / digest.hexdigest()[:16]


def asked(gateway, key, events, *, lanes=4):
    """The answer to each event, by its id, in the client's own words; `events` as client.js takes them."""
    if why := missing():
        pytest.skip(why)
    work = {"endpoint": gateway.endpoint, "key": key, "lanes": lanes, "events": events}
    done = subprocess.run(
        ["node", "client.js"], cwd=installed(), input=json.dumps(work), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]
