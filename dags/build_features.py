"""
### build_features — from raw log to validated hours, and to the features that a training reads

**When** hourly: for every app, whatever is due by then. By hand: for what is due, or for any interval (`start`, `end`).

| task | does | on failure |
|---|---|---|
| `apps` | whom the run is for: one mapped line of tasks each | |
| `collect` | ships this host's spool to the store, exactly once | retried; nothing is lost, the spool keeps it |
| `join` | decisions with their rewards → one interaction partition an hour, with an account of every event | retried |
| `validate` | Great Expectations, hour by hour; Data Docs; quarantine | a failed hour is left out, the rest goes on |
| `refuse` | **fails** once for every hour that did not pass: names hour and rule | look at the Report of `validate` |
| `encode` | if a training is due: the rolling window `[training]` of validated hours, encoded | retried |

An hour is due when it is mature (the reward window of its last decision has closed) and was not yet joined and
validated, or when late events restated it. So a run after an outage takes up what was left, oldest first, at most
`training.catch_up_hours` of them. An interval by hand is joined, validated whole (a failure stops the run) and encoded.
Few bad rows of an hour go into quarantine and stop nothing; of an hour with too many `croupier quarantine release` or
`drop` decides, and the next run goes on.

**Safe to repeat**: every output is keyed by its hours; a second run changes nothing.
Ends by updating the asset `croupier://features`, which starts `train_and_gate`.
"""

from typing import Any

from airflow.sdk import Metadata, dag, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from croupier.dags.common import DEFAULTS, FEATURES, apps, interval, interval_params, line, link, refusals, schedule
from croupier.features.utc import HOUR_SECONDS

REFUSALS = refusals(
    "croupier.features.quality.findings.QualityFailed", "croupier.features.spec.SpecError", "builtins.ValueError"
)


@dag(
    schedule=schedule("0 * * * *", seconds=HOUR_SECONDS),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS | {"retry_policy": REFUSALS},
    params=interval_params(),
    doc_md=__doc__,
    tags=["croupier", "features"],
)
def build_features() -> None:
    """Each app's due hours are joined, checked, and encoded."""

    @task
    def collect(app: str) -> dict[str, Any]:
        from croupier.features import build

        line(app)
        return {"app": app, **build.collect(app)}

    @task
    def join(collected: dict[str, Any]) -> dict[str, Any]:
        from croupier.features import scheduled

        line(collected["app"])
        return scheduled.join(collected["app"], interval())

    @task
    def validate(joined: dict[str, Any]) -> dict[str, Any]:
        from croupier.features import scheduled

        line(joined["app"])
        found = scheduled.validate(joined["app"], interval(), joined)
        if found["page"]:
            link(joined["app"], found["page"])
        return scheduled.or_raise(found)

    @task(retries=0)
    def refuse(validated: dict[str, Any]) -> None:
        from croupier.features.scheduled import raise_refused

        line(validated["app"])
        raise_refused(validated)

    @task(outlets=[FEATURES])
    def encode(validated: dict[str, Any]) -> Any:
        from croupier.features import scheduled

        line(validated["app"])
        encoded = scheduled.encode(validated["app"], interval())
        if not encoded["features"]:
            raise AirflowSkipException("no training is due: see [training] in app.toml")
        yield Metadata(FEATURES, extra={"app": encoded["app"], "features": encoded["features"]})
        return encoded

    @task_group(prefix_group_id=False)
    def of_app(app: str) -> None:
        validated = validate(join(collect(app)))
        refuse(validated)
        encode(validated)

    of_app.expand(app=task(apps)())


build_features()
