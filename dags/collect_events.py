"""
### collect_events — the spool reaches the store, late rewards reach their hours, old rows leave

**When** every ten minutes; by hand at any time.

| task | does | on failure |
|---|---|---|
| `apps` | whom the run is for: one mapped line of tasks each | |
| `collect` | ships this host's spool to the store, exactly once | retried; the spool keeps what was not shipped |
| `restate` | joins again just the hours that late rewards or closed windows change, as new versions | retried |
| `retain` | merges small objects of closed hours; old rows leave spool (once shipped, verified) and store | retried |

`croupier restatements` lists what changed, and which verdicts used the old version. **Safe to repeat**: each task does
only what is still to be done, and two runs at once do it once.
"""

from typing import Any

from airflow.sdk import dag, task, task_group

from croupier.dags.common import DEFAULTS, app_param, apps, line, schedule


@dag(
    schedule=schedule("*/10 * * * *", seconds=600),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params={"app": app_param()},
    doc_md=__doc__,
    tags=["croupier", "features"],
)
def collect_events() -> None:
    """Each app's events are shipped to its store."""

    @task
    def collect(app: str) -> dict[str, Any]:
        from croupier.features import build

        line(app)
        return build.collect(app)

    @task
    def restate(app: str) -> dict[str, Any]:
        from croupier.features import upkeep

        line(app)
        return upkeep.restate(app)

    @task
    def retain(app: str) -> dict[str, int]:
        from croupier.features import upkeep

        line(app)
        return upkeep.retain(app)

    @task_group(prefix_group_id=False)
    def of_app(app: str) -> None:
        collect(app) >> restate(app) >> retain(app)

    of_app.expand(app=task(apps)())


collect_events()
