"""What the DAGs share: their parameters with bounds, and which interval a run is for."""

import os
from datetime import timedelta

from airflow.exceptions import AirflowSkipException
from airflow.sdk import Asset, ExceptionRetryPolicy, Param, RetryAction, RetryRule, get_current_context

from features.settings import Settings

FEATURES = Asset("croupier://features", group="croupier")
DEFAULTS = {"owner": "croupier", "retries": 2, "retry_delay": timedelta(seconds=10)}
PREFIX, XCOM_KEY = "/croupier", "croupier_report"  # of the Report button, see reports_plugin.py


def link(app: str, report: str) -> None:
    """The running task's `Report` button opens `reports/<report>` of the app's store."""
    get_current_context()["ti"].xcom_push(key=XCOM_KEY, value=f"{PREFIX}/{app}/{report}")


def app_param() -> Param:
    """Scheduled runs are for CROUPIER_APP; a run by hand may name another."""
    default = os.environ.get("CROUPIER_APP", "default")
    return Param(default, type="string", pattern="^[a-z][a-z0-9_]*$", description="which bandit: var/<app>")


def app() -> str:
    """The run's app. A scheduled run for an app that nobody has declared is skipped, not failed."""
    name = str(get_current_context()["params"]["app"])
    if not (Settings(app=name).home / "app.toml").exists():
        skip_scheduled(f"no app {name!r} is declared; set CROUPIER_APP, and write its app.toml (`croupier init`)")
    return name


def skip_scheduled(why: str) -> None:
    """Nothing to do is no failure when nobody asked; a person who asked gets the task's own error."""
    if get_current_context()["dag_run"].run_type == "scheduled":
        raise AirflowSkipException(why)


def interval_params() -> dict[str, Param]:
    return {
        "app": app_param(),
        "start": Param(None, type=["null", "string"], format="date-time", description="empty: the run's interval"),
        "end": Param(None, type=["null", "string"], format="date-time", description="exclusive"),
    }


def interval() -> tuple[str, str]:
    """(start, end) from the parameters, else from the schedule's data interval. Raises ValueError naming the field."""
    params, run = (get_current_context()[k] for k in ("params", "dag_run"))
    start = params["start"] or (run.data_interval_start and run.data_interval_start.isoformat())
    end = params["end"] or (run.data_interval_end and run.data_interval_end.isoformat())
    if not start or not end:
        raise ValueError("start, end: found none; a run started by hand needs both, e.g. 2026-11-22T00:00:00Z")
    return str(start), str(end)


def refusals(*exceptions: str) -> ExceptionRetryPolicy:
    """A refusal is an answer, not an accident: these exceptions fail at once, whatever `retries` says."""
    return ExceptionRetryPolicy(rules=[RetryRule(exception=e, action=RetryAction.FAIL) for e in exceptions])
