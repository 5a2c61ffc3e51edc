"""The architecture is a test: import contracts hold, and each is seen to fail on a planted violation."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLANTS = {
    "Data flows one way: features, then models, then serving; dags on top": ("features/ids.py", "import models.policy"),
    "Only features/quality.py knows Great Expectations": ("serving/cli.py", "import great_expectations"),
    "Only features/storage.py knows boto3": ("features/spool.py", "import boto3"),
    "Only models/vw_adf.py knows Vowpal Wabbit": ("models/bilinear.py", "import vowpalwabbit"),
    "Only models knows torch": ("serving/selector.py", "import torch"),
    "Only serving knows Triton's client": ("dags/common.py", "import tritonclient"),
    "Only dags knows Airflow": ("models/gate.py", "import airflow"),
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(
        command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )


def test_every_contract_has_a_planted_violation():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {c["name"] for c in contracts} == set(PLANTS)


def test_the_contracts_hold():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.medium
def test_a_planted_violation_is_found(name, tmp_path):
    for room in ("features", "models", "serving", "dags"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file, line = PLANTS[name]
    (tmp_path / file).write_text((tmp_path / file).read_text() + f"\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode == 1
    assert f"{name} BROKEN" in result.stdout
    assert "1 broken" in result.stdout
