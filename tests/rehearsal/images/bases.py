"""Base images that stand for those of Airflow and NVIDIA: a Debian that debootstrap makes, with a Python 3.12.

podman makes images from them without a daemon (`--isolation chroot`). It keeps them in its own storage, so that each is
made once.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUITE = "bookworm"
DEBIAN, PYTHON = "localhost/croupier-debian", "localhost/croupier-python"
STAND_INS = {
    "AIRFLOW_IMAGE": "localhost/croupier-stand-in-airflow",
    "TRITON_IMAGE": "localhost/croupier-stand-in-triton",
}
FILES = {"AIRFLOW_IMAGE": "airflow.Containerfile", "TRITON_IMAGE": "triton.Containerfile"}
# what a Python is linked against, and what health checks and people call
PACKAGES = (
    "ca-certificates", "curl", "libbz2-1.0", "libexpat1", "libffi8", "libgomp1", "liblzma5", "libncursesw6", "libnsl2",
    "libreadline8", "libsqlite3-0", "libssl3", "libtirpc3", "libuuid1", "procps", "zlib1g",
)  # fmt: skip
TOOLS = ("podman", "debootstrap")


def lacking() -> str:
    """Why no images can be made here; "" where they can."""
    found = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"found no {' and no '.join(found)}: install {' and '.join(found)} (Debian's packages)" if found else ""


def made(python: Path) -> dict[str, str]:
    """Makes what is not there yet, with the interpreter below `python` (its prefix); returns the base image of each
    build argument."""
    if not exists(PYTHON):
        if not exists(DEBIAN):
            _debian(python)
        build(HERE / "debian.Containerfile", PYTHON, HERE, {})
    for argument, image in STAND_INS.items():
        if not exists(image):
            build(HERE / FILES[argument], image, HERE, {})
    return dict(STAND_INS)


def exists(image: str) -> bool:
    """True if podman has it."""
    return subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0


def build(file: Path, image: str, context: Path, arguments: dict[str, str]) -> None:
    """Executes a Dockerfile, every step of it, with these build arguments. Exits with what it printed if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        command = ["podman", "build", "--isolation", "chroot", "--network", "host", "--pull-never", *_registry(folder)]
        command += [*given, "--file", str(file), "--tag", image, str(context)]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"rehearsal: {file}: found an error, expected an image:\n{done.stdout[-4000:]}")


def _debian(python: Path) -> None:
    print("rehearsal: making a Debian to build images from (once; some two minutes)", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        include = f"--include={','.join(PACKAGES)}"
        _run("debootstrap", "--variant=minbase", include, SUITE, str(root), *_mirror())
        shutil.copytree(python, root / "usr" / "local", symlinks=True, dirs_exist_ok=True, ignore=_unneeded)
        packed = Path(folder) / "root.tar"
        _run("tar", "--create", "--file", str(packed), "--directory", str(root), ".")
        _run("podman", "import", str(packed), DEBIAN)


def _unneeded(folder: str, names: list[str]) -> set[str]:
    return {"test", "__pycache__"} & set(names) if Path(folder).name.startswith("python") else set()


def _mirror() -> list[str]:
    """Where this machine's own packages come from; none said: debootstrap's own."""
    files = [*Path("/etc/apt").glob("*.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    words = [word for file in files for line in file.read_text().splitlines() for word in line.split()[1:2]]
    return [word for word in words if word.startswith("http") and word.rstrip("/").endswith("/debian")][:1]


def _registry(folder: str) -> list[str]:
    """What pip needs inside to find packages as it does on this machine: its settings, certificates and local folders,
    mounted while a step runs and no part of the image."""
    said = subprocess.run(["pip", "config", "list"], check=True, capture_output=True, text=True).stdout
    settings = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    plain = {name.rpartition(".")[2]: value.strip("'\"") for name, value in settings.items()}
    file = Path(folder) / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in plain.items() if value))
    words = [word.removeprefix("file://") for value in plain.values() for word in value.split()]
    places = {Path(*Path(word).parts[:3]) for word in words if Path(word).is_absolute() and Path(word).exists()}
    return [f"--volume={file}:/etc/pip.conf:ro", *(f"--volume={p}:{p}:ro" for p in sorted(places))]


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"rehearsal: {words[0]}: {done.stdout[-2000:]}")
