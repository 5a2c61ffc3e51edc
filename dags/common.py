"""What the DAGs share: their parameters with bounds, whom a run is for, and which interval."""

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
    """A run by hand is for one app; scheduled runs are for every app that is declared."""
    default = os.environ.get("CROUPIER_APP", "default")
    return Param(default, type="string", pattern="^[a-z][a-z0-9_]*$", description="which bandit: var/<app>")


def apps() -> list[str]:
    """Whom the run is for: by hand the app that was named, on schedule every app that is declared under CROUPIER_VAR.

    An app that nobody declared is the task's own error by hand; a schedule without any app is skipped."""
    context = get_current_context()
    if context["dag_run"].run_type == "manual":
        return [str(context["params"]["app"])]
    declared = sorted(path.parent.name for path in Settings().var.absolute().glob("*/app.toml"))
    if not declared:
        raise AirflowSkipException("no app is declared; write its app.toml (`croupier init`)")
    return declared


def app() -> str:
    """The app that a run by hand names."""
    return str(get_current_context()["params"]["app"])


def interval_params() -> dict[str, Param]:
    return {
        "app": app_param(),
        "start": Param(None, type=["null", "string"], format="date-time", description="both empty: what is due"),
        "end": Param(None, type=["null", "string"], format="date-time", description="exclusive"),
    }


def interval() -> tuple[str, str] | None:
    """(start, end) as a person gave them; None where whatever is due is to be done. Raises ValueError on half of it."""
    params = get_current_context()["params"]
    start, end = params["start"], params["end"]
    if bool(start) != bool(end):
        raise ValueError(
            f"start, end: found {start!r} and {end!r}, expected both, e.g. 2026-11-22T00:00:00Z, or neither: then what "
            "is due is built"
        )
    return (str(start), str(end)) if start else None


def refusals(*exceptions: str) -> ExceptionRetryPolicy:
    """A refusal is an answer, not an accident: these exceptions fail at once, whatever `retries` says."""
    return ExceptionRetryPolicy(rules=[RetryRule(exception=e, action=RetryAction.FAIL) for e in exceptions])
