"""
### approve_rollout — a person confirms the last step of a rollout

**When** `watch_rollout` finds a candidate shown to be good enough for everybody, and the app says `[rollout]
approval = true`: one run a release.

| task | does |
|---|---|
| `approve` | waits for a person; **rejects** when nobody answers within a day |
| `confirm` | looks once more with the approval: the evidence must still hold, or nothing moves |

Rejected, the candidate stays at its stage until its time limit takes it back; `croupier rollout abort` does so now.
**Safe to repeat**: confirming twice takes one step.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, task

from croupier.dags.common import DEFAULTS, app, app_param


@dag(
    schedule=None,
    default_args=DEFAULTS,
    params={"app": app_param(), "release": Param("", type="string", description="number of the release that waits")},
    doc_md=__doc__,
    tags=["croupier", "serving"],
)
def approve_rollout() -> None:
    """A person is asked, and the rollout goes where they say."""
    approve = ApprovalOperator(
        task_id="approve",
        subject="Serve the candidate of release {{ params.release }} of {{ params.app }} to everybody?",
        body="Its evidence: the Report of watch_rollout's last run, or `croupier rollout history`.",
        defaults=ApprovalOperator.REJECT,
        response_timeout=timedelta(hours=24),
    )

    @task
    def confirm() -> dict[str, Any]:
        from croupier.serving.operate import watch

        return watch.watch(app(), approved=True)

    approve >> confirm()


approve_rollout()
