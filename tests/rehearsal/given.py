"""What a rehearsal gives to compose: the repository as an image has it, and a value for everything that is required."""

import secrets
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path

from tests.rehearsal.compose import required

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
APP, BUCKET = "reels", "croupier"


def tracked(folder: Path) -> None:
    """Writes what an image is given of the repository: what git tracks, as it is now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    command = ["tar", "--null", "--files-from", "-", "--create", "--file", "-"]
    packed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, input=listed)
    subprocess.run(["tar", "--extract", "--file", "-"], cwd=folder, check=True, input=packed.stdout)


def variables(folder: Path) -> dict[str, str]:
    """A value for everything that compose requires; `folder` has the certificates."""
    found = {name: secrets.token_hex(24) for name in required(COMPOSE.read_text())}
    found["AIRFLOW_FERNET_KEY"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return found | {"CROUPIER_APP": APP, "CROUPIER_BUCKET": BUCKET, "CROUPIER_TLS_DIR": str(folder)}
