"""Set-up refuses in one clear sentence, and servers that cannot start say why."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def checkout(folder):
    """What set-up reads, in a folder without a virtual environment."""
    for name in (".ci/setup", "pyproject.toml", "locks/native.lock", "locks/cuda.lock"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def fake(folder, name, answer):
    """A program that answers as another machine's would: `uname`, `python3` and `getconf` are not ours to change."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    return program


def setup(folder, **env):
    command = ["bash", ".ci/setup"]
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def one_sentence(done):
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr.strip()


def test_an_old_python_is_refused(tmp_path):
    (tmp_path / "bin").mkdir()
    old = fake(tmp_path / "bin", "oldpython", 'case "$1" in --version) echo Python 3.9.1;; -c) exit 1;; esac')
    said = one_sentence(setup(checkout(tmp_path), PYTHON=str(old)))
    assert "Python 3.9.1" in said
    assert "need Python 3.11 or 3.12" in said
    assert not (tmp_path / ".venv").exists()


def test_another_machine_is_refused(tmp_path):
    (tmp_path / "bin").mkdir()
    fake(tmp_path / "bin", "uname", 'case "$1" in -s) echo Darwin;; -m) echo arm64;; esac')
    said = one_sentence(setup(checkout(tmp_path), PYTHON=sys.executable))
    assert "Darwin on arm64" in said
    assert "Linux on x86_64" in said


def test_an_old_c_library_is_refused(tmp_path):
    (tmp_path / "bin").mkdir()
    fake(tmp_path / "bin", "getconf", "echo glibc 2.31")
    said = one_sentence(setup(checkout(tmp_path), PYTHON=sys.executable))
    assert "glibc 2.31" in said


@pytest.mark.slow
def test_a_busy_port_is_one_sentence(tmp_path):
    """`make up` where something listens on Airflow's port: refused by name, and Triton does not stay behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "croupier.dags.local.standalone", "up"], cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"CROUPIER_VAR": str(tmp_path), "CROUPIER_AIRFLOW_PORT": port}, timeout=120,
        )  # fmt: skip
    assert done.returncode == 1
    assert re.search(rf"croupier: port {port} is busy, Airflow needs it", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*/triton.pid"))
