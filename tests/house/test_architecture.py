"""The architecture is a test: import contracts hold, and each is seen to fail on a planted violation."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("features", "models", "serving", "dags")
PLANTS = {
    "Data flows one way: features, then models, then serving; dags on top": (
        "features/upkeep.py", "import croupier.models.policy",
    ),
    "features: its floors import downwards only": (
        "features/store/locks.py", "import croupier.features.interactions.account",
    ),
    "models: its floors import downwards only": ("models/ope/rounds.py", "import croupier.models.gate.gate"),
    "serving: its floors import downwards only": (
        "serving/contract/requests.py", "import croupier.serving.client.breaker",
    ),
    "dags: what runs them here is not known to them": ("dags/common.py", "import croupier.dags.local.rest"),
    "The client is light": ("features/ids.py", "import pandas"),
    "Only features/quality/gx.py knows Great Expectations": ("serving/cli.py", "import great_expectations"),
    "Only features/store/storage.py knows boto3": ("features/log/spool.py", "import boto3"),
    "Only models/vw/train.py knows Vowpal Wabbit": ("models/vw/policy.py", "import vowpalwabbit"),
    "Only training and the arrays of a GPU know torch": ("models/bayesian/heads.py", "import torch"),
    "Only serving knows Triton's client": ("dags/common.py", "import tritonclient"),
    "Only serving/gateway knows starlette and uvicorn": ("serving/embedded/host.py", "import starlette"),
    "Only serving/fleet/shared_store.py knows the client of Redis": ("serving/fleet/member.py", "import redis"),
    "Only features/engines/ray_engine.py knows Ray": ("models/training.py", "import ray"),
    "Only models/tuning/optuna_search.py knows Optuna": ("models/tuning/tuner.py", "import optuna"),
    "Only models/federated/accountant.py knows dp_accounting": ("models/federated/noise.py", "import dp_accounting"),
    "Only serving/contract/typed_arms.py knows msgspec": ("serving/contract/inline_arms.py", "import msgspec"),
    "Only models/retrieval/arm_index.py knows faiss": ("serving/retrieval/retriever.py", "import faiss"),
    "Only serving/monitoring knows Prometheus's client": ("serving/triton/metrics_exporter.py", "import prometheus_client"),
    "Only dags knows Airflow": ("models/gate/gate.py", "import airflow"),
}  # fmt: skip


def lint(folder, planted=()):
    """lint-imports over a copy of the package, with lines planted."""
    package = folder / "croupier"
    for room in ROOMS:
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "frames.py"):
        shutil.copy(ROOT / name, package)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, line in planted:
        with (package / file).open("a") as module:
            module.write(f"\n{line}\n")
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


def test_every_contract_has_a_planted_violation():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {c["name"] for c in contracts} == set(PLANTS)


def test_the_contracts_hold(tmp_path):
    result = lint(tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.medium
def test_a_planted_violation_is_found(name, tmp_path):
    result = lint(tmp_path, [PLANTS[name]])
    assert result.returncode == 1
    assert f"{name} BROKEN" in result.stdout
    assert "1 broken" in result.stdout


@pytest.mark.medium
@pytest.mark.parametrize("room", ROOMS)
def test_a_module_without_a_floor_is_found(room, tmp_path):
    result = lint(tmp_path, [(f"{room}/homeless.py", "")])
    assert result.returncode == 1
    assert f"croupier.{room}.homeless" in result.stdout
