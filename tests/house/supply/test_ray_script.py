"""`.ci/ray`: what it installs is locked, what it tests is found, and its exit code says what happened."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYTHON = """#!/bin/sh
case "$*" in
*"pip "*) echo "$PIP_SAYS"; [ -z "$PIP_SAYS" ] && mkdir -p var/ray ;;
*"-m pytest"*) echo "$@" > asked; exit "$PYTEST_EXIT" ;;
esac
"""


def ray(folder, *, pip="", pytest_exit=0):
    """The script in a folder whose Python is another program: the registry and Ray are not ours to change."""
    for name in (".ci/ray", "locks/ray.lock"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    (folder / ".venv" / ".croupier").write_text("abc")
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / "test_a.py").write_text('pytest.importorskip("ray", reason="an extra")\n')
    (folder / "tests" / "test_b.py").write_text("import ray\n")
    env = os.environ | {"PIP_SAYS": pip, "PYTEST_EXIT": str(pytest_exit)}
    return subprocess.run(
        ["bash", ".ci/ray"], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("code", [0, 1, 5])
def test_it_runs_the_tests_that_ask_for_ray_and_their_exit_code_counts(tmp_path, code):
    done = ray(tmp_path, pytest_exit=code)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "asked").read_text().split() == ["-m", "pytest", "-n", "0", "tests/test_a.py"]


def test_a_registry_that_is_not_reached_is_said_and_is_no_failure_of_a_test(tmp_path):
    done = ray(tmp_path, pip="ERROR: No matching distribution found for msgpack==1.2.4")
    assert (done.returncode, done.stderr) == (75, "croupier: Ray could not be installed; see var/ray.log\n")
    assert not (tmp_path / "asked").exists()


def test_a_file_that_is_not_the_locked_one_fails(tmp_path):
    done = ray(tmp_path, pip="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.")
    assert (done.returncode, "is not the one of locks/ray.lock" in done.stderr) == (1, True)


def test_ci_runs_it_after_the_tests_and_takes_75_alone_for_a_missing_registry():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    last = [line for line in lines if line.endswith(" make test") or line.startswith(".ci/ray")][-2:]
    assert last[0].endswith("make test")
    for script, code, said in (("exit 75", 0, True), ("exit 1", 1, False), ("exit 0", 0, False), ("exit 2", 2, False)):
        line = re.sub(r"^\.ci/ray", f"bash -c '{script}'", last[1])
        done = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, check=False)
        assert (done.returncode, "were not run" in done.stdout) == (code, said), script


def test_the_tests_on_ray_are_found_where_they_are():
    found = subprocess.run(
        ["grep", "-rl", "--include", "test_*.py", 'importorskip("ray"', "tests"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert {"tests/features/engines/test_ray_engine.py", "tests/models/tuning/test_tuned_on_ray.py"} <= set(found)
