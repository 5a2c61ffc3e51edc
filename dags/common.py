"""What the DAGs share: their parameters with bounds, whom a run is for, and which interval."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow.configuration import conf
from airflow.sdk import (
    Asset,
    CronDataIntervalTimetable,
    DeltaTriggerTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    get_current_context,
)
from airflow.sdk.exceptions import AirflowSkipException

from croupier.features import clock
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.models.each_app import EachApp

FEATURES = Asset("croupier://features", group="croupier")
PREFIX, XCOM_KEY = "/croupier", "croupier_report"  # of the Report button, see reports_plugin.py
FAILED = "croupier_failed"  # for which apps a task failed that went on with others
LINE = "croupier_line"  # of a mapped task: whom its line is for
DEFAULTS = {
    "owner": "croupier", "retries": 2, "retry_delay": timedelta(seconds=10),
    "map_index_template": "{{ " + LINE + " | default('') }}",
}  # fmt: skip

LEAST_SECONDS = 15.0  # Airflow starts a run no more often than this, however fast the loop's clock runs


def schedule(cron: str, seconds: float) -> CronDataIntervalTimetable | DeltaTriggerTimetable:
    """Every `seconds` of the loop's clock (features/clock.py): by `cron` on the host's own clock, in UTC; by as many
    real seconds as these take where CROUPIER_CLOCK lets time run faster."""
    if clock.speed() == 1.0:
        return CronDataIntervalTimetable(cron, timezone="UTC")
    return DeltaTriggerTimetable(timedelta(seconds=max(LEAST_SECONDS, seconds / clock.speed())))


def link(app: str, report: str) -> None:
    """The running task's `Report` button opens `reports/<report>` of the app's store; its log says the address, too."""
    get_current_context()["ti"].xcom_push(key=XCOM_KEY, value=f"{PREFIX}/{app}/{report}")
    print(f"Report: {address(app, report)}   all pages of {app}: {address(app, '')}")


def address(app: str, report: str) -> str:
    """Returns where a browser finds `reports/<report>` of the app's store."""
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}{PREFIX}/{app}/{report}"


def line(*names: str) -> None:
    """Names the running mapped task in the UI, where it would else be a number: by its app, and what else tells it."""
    get_current_context()[LINE] = " ".join(names)


def or_skipped(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `publish` did, said in its log. Skipped, with the reason, if all that was promoted waits for a rollout."""
    from croupier.serving.operate.verdict_release import said

    print("\n".join(map(said, outcomes)))
    if outcomes and all("waits" in outcome for outcome in outcomes):
        raise AirflowSkipException("; ".join(outcome["why"] for outcome in outcomes))
    return outcomes


def or_nothing(found: list[dict[str, Any]], why: str) -> list[dict[str, Any]]:
    """What was found; the task is skipped, with the reason, where nothing was."""
    if not found:
        raise AirflowSkipException(why)
    return found


def woken() -> list[tuple[str, tuple[str, str]]]:
    """(app, (app, features)) of what the run is for: the features that were named by hand, else of each app the newest
    that woke it."""
    context = get_current_context()
    params, events = context["params"], (context.get("triggering_asset_events") or {}).values()
    given = [(params["app"], params["features"])] if params["features"] else []
    pairs = dict(given or [(e.extra["app"], e.extra["features"]) for found in events for e in found])
    return [(app, (app, features)) for app, features in sorted(pairs.items())]


def shown(verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    """The verdict on one app, linked and said in the task's log. Raises ValueError where nothing could be judged."""
    from croupier.models.gate import verdict_text

    (verdict,) = verdicts
    if verdict["page"]:
        link(verdict["app"], verdict["page"])
    verdict_text.show(verdicts)
    return verdict


@contextmanager
def each_app() -> Iterator[EachApp]:
    """What the running task does for each app; for which it failed is kept for `failed_of`."""
    ti = get_current_context()["ti"]
    each = EachApp(again=ti.try_number <= ti.max_tries)
    try:
        yield each
    finally:
        ti.xcom_push(key=FAILED, value=each.said())


def failed_of(*tasks: str) -> list[dict[str, str]]:
    """For which apps these tasks of the run failed, and why."""
    return [get_current_context()["ti"].xcom_pull(task_ids=task, key=FAILED) or {} for task in tasks]


def app_param() -> Param:
    """A run by hand is for one app; scheduled runs are for every app that is declared."""
    default = os.environ.get("CROUPIER_APP", "default")
    return Param(default, type="string", pattern="^[a-z][a-z0-9_]*$", description="which bandit: var/<app>")


def apps() -> list[str]:
    """Returns the apps that the run is for: by hand the app that was named, on schedule every app that is declared
    under CROUPIER_VAR.

    An app that nobody declared is the task's own error by hand; a schedule without any app is skipped."""
    context = get_current_context()
    if context["dag_run"].run_type == "manual":
        return [str(context["params"]["app"])]
    declared = sorted(path.parent.name for path in Settings().var.absolute().glob(layout.DECLARED_APPS))
    if not declared:
        raise AirflowSkipException("no app is declared; write its app.toml (`croupier init`)")
    return declared


def app() -> str:
    """The app that a run by hand names."""
    return str(get_current_context()["params"]["app"])


def interval_params() -> dict[str, Param]:
    """Returns the parameters of a run by hand: an app, and an interval."""
    return {
        "app": app_param(),
        "start": Param(None, type=["null", "string"], format="date-time", description="both empty: what is due"),
        "end": Param(None, type=["null", "string"], format="date-time", description="exclusive"),
    }


def interval() -> tuple[str, str] | None:
    """Returns (start, end) as a person gave them; None where whatever is due is to be done. Raises ValueError on half
    of it."""
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
