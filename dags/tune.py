"""
### tune — which configurations the log prefers

**When** weekly, on Sunday at two; by hand at any time (`app`, `trials`).

| task | does |
|---|---|
| `apps` | whom the run is for: one mapped task each |
| `tune` | tries configurations on the newest features, and keeps the record; skipped where there is nothing to tune |

It begins with what came out well on like logs, and goes on by successive halving. What came out best is tried by the
next choice of `candidates = "auto"`, on rows that no verdict is from, and is judged by the gate as any candidate;
nothing is published here. An app whose `app.toml` names its candidates is skipped: `croupier tune` tunes any app.
`CROUPIER_ENGINE=ray` computes the trials on a Ray cluster.
**Safe to repeat**: trials are kept in the store, so that a run that was killed goes on with what is left.
"""

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from croupier.dags.common import DEFAULTS, app_param, apps, line, refusals, schedule
from croupier.features.utc import WEEK_SECONDS


@dag(
    schedule=schedule("0 2 * * 0", seconds=WEEK_SECONDS),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS | {"retry_policy": refusals("builtins.ValueError")},
    params={
        "app": app_param(),
        "trials": Param(27, type="integer", minimum=3, maximum=1000, description="configurations of the first rung"),
    },
    doc_md=__doc__,
    tags=["croupier", "models"],
)
def tune() -> None:
    """Each app that lets its log choose is tuned."""

    @task(task_id="tune")
    def of_app(app: str) -> dict[str, Any]:
        from croupier.features.workspace import Workspace
        from croupier.serving.readings import tunings

        line(app)
        w = Workspace.known(app)
        if not w.spec.policies.auto:
            raise AirflowSkipException(
                f'{app}: app.toml names its candidates; `candidates = "auto"` lets the log choose'
            )
        try:
            key = tunings.newest(w)
        except ValueError as nothing:
            raise AirflowSkipException(str(nothing)) from None
        found = tunings.tuned(w, "auto", get_current_context()["params"]["trials"], key)
        print(tunings.said(found))
        return {name: found[name] for name in ("app", "features", "tuned")}

    of_app.expand(app=task(apps)())


tune()
