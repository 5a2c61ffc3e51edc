"""The list of runs says whose a run by hand is: by Airflow's own model, database and listener, as the scheduler has them."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

ASK = """
import json, sys
from pathlib import Path
from airflow.models.dagrun import DagRun
from airflow.utils import timezone
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType

def begun(dag, kind, conf, note=None):
    now = timezone.utcnow()
    with create_session() as session:
        run = DagRun(dag_id=dag, run_id=f"{kind.value}__{now.isoformat()}", run_type=kind, run_after=now, conf=conf,
                     note=note, state=DagRunState.QUEUED)
        session.add(run)
        session.flush()
        run.state = DagRunState.RUNNING
        run.notify_dagrun_state_changed(msg="started")
        key = run.id
    with create_session() as session:
        return session.get(DagRun, key).note

hand, clock = DagRunType.MANUAL, DagRunType.SCHEDULED
interval = {"app": "shop", "start": "2026-03-01", "end": "2026-03-02"}
Path(sys.argv[1]).write_text(json.dumps([
    begun("build_features", hand, interval), begun("train_and_gate", hand, {"app": "books"}),
    begun("train_and_gate", hand, {"app": "books"}, note="mine"), begun("build_features", clock, {}),
    begun("build_features", hand, {}), begun("monitor", hand, {"app": "books"}), begun("somebody_elses", hand, {"app": "x"}),
]))
"""
pytestmark = pytest.mark.skipif(find_spec("airflow") is None, reason="Airflow is not installed")


def test_a_run_says_its_app_and_interval_and_keeps_what_its_starter_said():
    from croupier.dags.run_notes import note_of

    def run(**more):
        return SimpleNamespace(
            **({"dag_id": "build_features", "run_type": "manual", "conf": {"app": "shop"}, "note": None} | more)
        )

    assert note_of(run()) == "app: shop"
    assert note_of(run(conf={"app": "shop", "start": "a", "end": "b"})) == "app: shop, a to b"
    for other in ({"note": "mine"}, {"run_type": "scheduled"}, {"dag_id": "other"}):
        assert note_of(run(**other)) == ""


def test_every_dag_of_ours_that_has_an_app_is_noted():
    from croupier.dags.run_notes import DAGS

    folder = Path(__file__).parents[2] / "dags"
    assert {path.stem for path in folder.glob("*.py") if "\n@dag(" in path.read_text()} == DAGS


@pytest.mark.slow
def test_airflow_keeps_the_note_in_its_database(dags, tmp_path):
    env = dags.env | {"CROUPIER_APP": "garden", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", ASK, str(tmp_path / "out.json")], env=env, capture_output=True, text=True,
                          timeout=500, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "out.json").read_text()) == [
        "app: shop, 2026-03-01 to 2026-03-02", "app: books", "mine", None, "app: garden", "app: books", None
    ]  # fmt: skip
