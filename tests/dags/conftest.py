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
        command = [sys.executable, str(HERE / "dag_runner.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        env = self.env | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *sys.path])}
        self.runner = subprocess.Popen(command, env=env, text=True, **pipes)

    def __call__(self, verb, *arguments, **env):
        """What `dag_runner` answers; a DAG's configuration may be given as the JSON text that a user would type. `env`:
        variables that this answer alone sees."""
        out, said = self.var.parent / "answer.json", self.var.parent / "said.txt"
        out.unlink(missing_ok=True)
        said.write_text("")
        given = [json.loads(a) if a.startswith("{") else a for a in arguments]
        request = {"arguments": [verb, *given], "out": str(out), "said": str(said), "env": env}
        self.runner.stdin.write(json.dumps(request) + "\n")
        self.runner.stdin.flush()
        while (line := self.runner.stdout.readline().strip()) != "done":
            assert self.runner.poll() is None, line  # libraries print lines of their own while they are imported
        self.said = said.read_text()  # what the tasks' logs say
        assert out.exists(), self.said[-6000:]
        return json.loads(out.read_text())

    def close(self):
        self.runner.communicate(timeout=60)


@pytest.fixture(scope="session")
def dags(tmp_path_factory):
    made = Dags(tmp_path_factory.mktemp("dags"))
    yield made
    made.close()


@pytest.fixture
def var(dags, monkeypatch):
    """The run-time folder the DAGs see, for this process too."""
    monkeypatch.setenv("CROUPIER_VAR", str(dags.var))
    assert os.environ["CROUPIER_VAR"] == str(dags.var)
    return dags.var
