"""`.ci/extra`: what it installs is locked, what it tests is found, and its exit code says what happened."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
MODULES = {"ray": "ray", "privacy": "dp_accounting", "tune": "optuna"}
PYTHON = """#!/bin/sh
case "$*" in
*"pip "*) echo "$PIP_SAYS"; [ -z "$PIP_SAYS" ] && mkdir -p var/ray var/privacy var/tune ;;
*"-m pytest"*) echo "$@" > asked; exit "$PYTEST_EXIT" ;;
esac
"""


def extra(folder, name="ray", *, pip="", pytest_exit=0):
    """The script in a folder whose Python is another program: the registry and the extras are not ours to change."""
    for file in (".ci/extra", "locks/ray.lock", "locks/privacy.lock", "locks/tune.lock"):
        (folder / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    (folder / ".venv" / ".croupier").write_text("abc")
    (folder / "tests").mkdir(exist_ok=True)
    for module in MODULES.values():
        (folder / "tests" / f"test_{module}.py").write_text(f'pytest.importorskip("{module}", reason="an extra")\n')
    (folder / "tests" / "test_b.py").write_text("import ray\n")
    env = os.environ | {"PIP_SAYS": pip, "PYTEST_EXIT": str(pytest_exit)}
    command = ["bash", ".ci/extra", name]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("name", "code"), [("ray", 0), ("ray", 1), ("privacy", 0), ("privacy", 5), ("tune", 0)])
def test_it_runs_the_tests_that_ask_for_the_extra_and_their_exit_code_counts(tmp_path, name, code):
    done = extra(tmp_path, name, pytest_exit=code)
    assert done.returncode == code, done.stderr
    asked = (tmp_path / "asked").read_text().split()
    assert asked == ["-m", "pytest", "-n", "0", f"tests/test_{MODULES[name]}.py"]


def test_a_registry_that_is_not_reached_is_said_and_is_no_failure_of_a_test(tmp_path):
    done = extra(tmp_path, pip="ERROR: No matching distribution found for msgpack==1.2.4")
    said = "croupier: the extra [ray] could not be installed; see var/ray.log\n"
    assert (done.returncode, done.stderr) == (75, said)
    assert not (tmp_path / "asked").exists()


def test_where_no_test_asks_for_the_extra_nothing_is_run(tmp_path):
    extra(tmp_path)
    (tmp_path / "asked").unlink()
    (tmp_path / "tests" / "test_ray.py").write_text("import ray\n")
    env = os.environ | {"PIP_SAYS": "", "PYTEST_EXIT": "0"}
    done = subprocess.run(
        ["bash", ".ci/extra", "ray"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "found no test that asks for ray" in done.stderr) == (1, True)
    assert not (tmp_path / "asked").exists(), "else pytest would run the whole suite"


def test_a_file_that_is_not_the_locked_one_fails(tmp_path):
    done = extra(tmp_path, pip="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.")
    assert (done.returncode, "is not the one of locks/ray.lock" in done.stderr) == (1, True)
    done = extra(tmp_path, "spark")
    assert (done.returncode, done.stderr) == (2, "croupier: found 'spark', expected ray, privacy or tune\n")


def test_ci_runs_each_after_the_tests_and_takes_75_alone_for_a_missing_registry():
    script = (ROOT / ".ci" / "run").read_text()
    _, last = re.split(r"(?m)^PYTEST_ADDOPTS=.* make test$", script)
    cases = (("exit 75", 0, 3), ("exit 1", 1, 0), ("exit 0", 0, 0), ("exit 2", 2, 0))
    for answer, code, said in cases:
        lines = last.replace(".ci/extra $extra", f"bash -c '{answer}'")
        done = subprocess.run(["bash", "-euc", lines], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.count("were not run")) == (code, said), answer


def test_the_locks_have_the_versions_that_the_extras_allow():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name in MODULES:
        pins = dict(re.findall(r"^(\S+)==(\S+)", (ROOT / "locks" / f"{name}.lock").read_text(), re.M))
        wanted = [Requirement(text) for text in extras[name] if not text.startswith("croupier[")]
        assert len(wanted) == 1
        assert all(pins[each.name] in each.specifier for each in wanted)


def test_tests_that_need_an_extra_are_found_where_they_are():
    command = ["grep", "-rlE", "--include", "test_*.py", r'importorskip\("(ray|dp_accounting|optuna)"', "tests"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    wanted = {
        "tests/features/engines/test_ray_engine.py",
        "tests/models/federated/test_accountant.py",
        "tests/models/tuning/test_optuna_search.py",
        "tests/models/tuning/test_tuned_on_ray.py",
    }
    assert wanted <= set(found)
