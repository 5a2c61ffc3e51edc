"""An Airflow database of our own, and a way to run the DAGs in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from croupier.dags.local.standalone import environment

HERE = Path(__file__).resolve().parent


class Dags:
    said = ""

    def __init__(self, folder):
        self.var = folder / "var"
        self.env = environment(folder / "airflow", 1) | {"CROUPIER_VAR": str(self.var), "PYTHONWARNINGS": "ignore"}
        airflow = [str(Path(sys.executable).parent / "airflow"), "db", "migrate"]
        subprocess.run(airflow, env=self.env, check=True, capture_output=True, timeout=180)

    def __call__(self, *arguments):
        out = self.var.parent / "answer.json"
        out.unlink(missing_ok=True)
        command = [sys.executable, str(HERE / "dag_runner.py"), *arguments, str(out)]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=280, check=False)
        self.said = done.stdout  # what the tasks' logs say
        assert out.exists(), done.stdout[-4000:] + done.stderr[-2000:]
        return json.loads(out.read_text())

    def links(self, dag, run, task):
        """The buttons that the UI shows on a task, by name."""
        out = self.var.parent / "links.json"
        command = [sys.executable, str(HERE / "ask_links.py"), dag, run, task, str(out)]
        env = self.env | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *sys.path])}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
        assert out.exists(), done.stdout[-4000:] + done.stderr[-2000:]
        return json.loads(out.read_text())


@pytest.fixture(scope="session")
def dags(tmp_path_factory):
    return Dags(tmp_path_factory.mktemp("dags"))


@pytest.fixture
def var(dags, monkeypatch):
    """The run-time folder the DAGs see, for this process too."""
    monkeypatch.setenv("CROUPIER_VAR", str(dags.var))
    assert os.environ["CROUPIER_VAR"] == str(dags.var)
    return dags.var
