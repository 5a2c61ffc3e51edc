"""A run that somebody starts in Airflow's UI is noted to be of its app, so that the list of runs tells them apart.

Airflow makes the run ids of such runs from the time alone: its timetables are not told the parameters. A listener is,
when the scheduler starts the run; where whoever started it left no note, it writes one, `app: shop`. Runs that are
started over the API by `local/rest.py` have the app in their run id as well.
"""

import os
from typing import Any

from airflow.listeners import hookimpl

DAGS = frozenset(
    {"build_features", "train_and_gate", "collect_events", "watch_rollout", "approve_rollout", "monitor", "tune"}
)


def note_of(run: Any) -> str:
    """What is noted of a run: its app, and the interval if one was asked for; "" where there is nothing to say."""
    if run.dag_id not in DAGS or str(getattr(run.run_type, "value", run.run_type)) != "manual" or run.note:
        return ""
    asked = run.conf or {}
    app = asked.get("app") or os.environ.get("CROUPIER_APP", "default")
    interval = f", {asked['start']} to {asked['end']}" if asked.get("start") and asked.get("end") else ""
    return f"app: {app}{interval}"


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:  # noqa: ARG001 — Airflow's signature
    """Notes the app of a run that begins; in the scheduler's own transaction."""
    if note := note_of(dag_run):
        dag_run.note = note
