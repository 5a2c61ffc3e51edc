"""
### train_and_gate — from features to a judged candidate, and a release

**When** `build_features` has found that a training is due (`[training] every`, `after_rows`) and updated
`croupier://features` (of several waiting updates of an app the newest is taken); by hand with `features`, the key that
`build_features.encode` returned. Features of an interval by hand are split: the earlier rows train, the later judge.

| task | does |
|---|---|
| `plan` | one job per (features, policy of the app); the log chooses these where `candidates = "auto"` |
| `train` | every row of the window: VW CB-ADF in C++, neural-linear in PyTorch; one mapped task each |
| `judge` | each family by its models through time, on rows that none of them had learnt: cross-fitted DR beside SNIPS |
| `approve` | only with `approval`: waits for a person, **rejects** when nobody answers in time |
| `publish` | a release, verified, loaded into Triton, smoke-tested; a promoted candidate starts at stage one |
| `refuse` | **fails** for all apps without a verdict, and says why: `plan` and `judge` go on with the others |

**Verdicts**: *promote*, *reject* or *not enough evidence* for a challenger; the champion's own family, retrained, is
a *refresh* if it is shown to lose no more than `[refresh] margin`. They stand in `judge`'s log and in its report with
every condition (found, needed; passed, NOT PASSED or NOT CHECKED). *Not enough evidence* and *reject* are no failures:
the champion serves on; with `[policies] toward_candidate` it is released anew to explore toward who lacks evidence.
**Colours**: `publish` is green when a release serves or nothing was promoted (its log says which), skipped when what
was promoted waits for a running rollout, red when it could not be published: a refused release leaves the old one.
`plan` is red when app.toml declares other features than the champion reads; `judge` when no candidate could be judged.
**Safe to repeat**: trained policies, verdicts and releases are keyed by what they were made from.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, get_current_context, task

from croupier.dags import common
from croupier.dags.common import DEFAULTS, FEATURES, app_param, line, refusals
from croupier.models.each_app import or_raise, trained_whole

REFUSALS = refusals(
    "croupier.serving.release.bundle.ReleaseRefused", "croupier.features.spec.SpecError", "builtins.ValueError"
)


@dag(
    schedule=[FEATURES],
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS | {"retry_policy": REFUSALS},
    params={
        "app": app_param(),
        "features": Param("", type="string", description="key of the encoded features; empty: what woke this run"),
        "approval": Param(False, type="boolean", description="ask a person before publishing"),
    },
    doc_md=__doc__,
    tags=["croupier", "models"],
)
def train_and_gate() -> None:
    @task
    def plan() -> list[dict[str, str]]:
        from croupier.models import training

        with common.each_app() as each:
            jobs = each.done(lambda pair: training.plan([pair]), common.woken())
        return [job for of_app in jobs for job in of_app] or training.plan([])

    @task(execution_timeout=timedelta(hours=4))
    def train(app: str, features: str, policy: str) -> dict[str, str]:
        from croupier.models import training

        line(app, policy)
        return training.train(app, features, policy)

    @task(trigger_rule="all_done")
    def judge(planned: Any, trained: Any) -> list[dict[str, Any]]:
        from croupier.models import training

        with common.each_app() as each:
            verdicts = each.done(lambda jobs: common.shown(training.judge(jobs)), trained_whole(planned, trained))
        return common.or_nothing(verdicts, "no app has all of its policies trained")

    @task.branch
    def ask() -> str:
        return "approve" if get_current_context()["params"]["approval"] else "publish"

    approve = ApprovalOperator(
        task_id="approve",
        subject="Publish this release of {{ params.app }}?",
        body="{% for v in ti.xcom_pull(task_ids='judge') %}{{ v.summary }}\n\n{% endfor %}",
        defaults=ApprovalOperator.REJECT,
        response_timeout=timedelta(hours=24),
    )

    @task(trigger_rule="none_failed_min_one_success")
    def publish(verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        from croupier.serving.operate import verdict_release

        with common.each_app() as each:
            outcomes = each.done(verdict_release.publish_verdict, ((v["app"], v) for v in verdicts))
        each.or_raise()
        return common.or_skipped(outcomes)

    @task(trigger_rule="all_done", retries=0)
    def refuse(planned: Any, verdicts: Any) -> None:
        or_raise(planned, verdicts, common.failed_of("plan", "judge"))

    verdicts = judge(planned := plan(), train.expand_kwargs(planned))
    verdicts >> ask() >> [approve, published := publish(verdicts)]
    approve >> published
    refuse(planned, verdicts)


train_and_gate()
