"""
### watch_rollout — 5 → 20 → 50 → 100 %, or back to the champion

**When** each minute; by hand at any time. `croupier rollout status | history | report` show what it did and why.

| task | does |
|---|---|
| `apps` | whom the run is for: one mapped line of tasks each |
| `look` | ships the log, gathers evidence from **matured** decisions, moves the stage at most one step |
| `ask` | only when the last step waits for a person (`[rollout] approval = true`) |
| `request_approval` | starts `approve_rollout` for this release, once |

Harm shown: aborted at once. Counts off, propensities wrong, data missing or stale: held, with the reason.
Inconclusive at the time limit: back to the champion. No data never promotes. At 100 % the candidate becomes the next
release's champion, and stays watched against a hold-out (`[rollout] holdout`, 1 % of units, for `watch_days`): shown
to be worse, its predecessor is released again.
Prices of long-run `[[constraints]]` are moved by the hours that were joined since the last look.
A `catalogue.json` that was changed (`croupier arm …`) is released over the same policies; the rollout goes on.
**Safe to repeat**, and to run twice at once: a look is judged for the very state it was gathered under.
By hand: `croupier rollout abort`, `advance`, `rollback N`.
"""

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from croupier.dags.common import DEFAULTS, app_param, apps, line, link, schedule

SEEN = "ti.xcom_pull(task_ids='look', map_indexes=ti.map_index)"
RELEASE, ROLLOUT, NAME = ("{{ " + SEEN + f".{key} }}}}" for key in ("release", "rollout", "app"))


@dag(
    schedule=schedule("* * * * *", seconds=60),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS | {"retries": 0},  # the next minute's look is the retry
    params={"app": app_param()},
    doc_md=__doc__,
    tags=["croupier", "serving"],
)
def watch_rollout() -> None:
    """Each app's rollout is looked at once, and its page kept."""

    @task
    def look(app: str) -> dict[str, Any]:
        from croupier.serving.operate import rollout_page, watch

        line(app)
        seen = watch.watch(app)
        if page := rollout_page.keep(app):
            link(app, page)
        return seen

    @task
    def ask(seen: dict[str, Any]) -> None:
        from croupier.serving.release.stage_rule import AWAITING

        line(seen["app"])
        if seen.get("held") != AWAITING:  # a short circuit does not reach the tasks after it in a mapped group
            raise AirflowSkipException("no step waits for a person")

    @task_group(prefix_group_id=False)
    def of_app(app: str) -> None:
        request_approval = TriggerDagRunOperator(
            task_id="request_approval",
            trigger_dag_id="approve_rollout",
            trigger_run_id=f"{NAME}-{ROLLOUT}",  # a catalogue release does not ask again
            conf={"app": NAME, "release": RELEASE},
            skip_when_already_exists=True,
        )
        ask(look(app)) >> request_approval

    of_app.expand(app=task(apps)())


watch_rollout()
