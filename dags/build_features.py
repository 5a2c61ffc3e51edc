"""
### build_features — from raw log to validated, encoded features

**When** hourly, for the hour that ended; by hand for any interval (`start`, `end`).

| task | does | on failure |
|---|---|---|
| `collect` | ships this host's spool to the store, exactly once | retried; nothing is lost, the spool keeps it |
| `join` | decisions ⟕ rewards → one interaction partition an hour, with an account of every event | retried |
| `validate` | Great Expectations; Data Docs; quarantine | **fails at once**: names rule, count, three event ids |
| `encode` | fits the encoder on the earlier days, writes the encoded log | retried |

**Safe to repeat**: every output is keyed by its hours; a second run of an interval changes nothing.
When `validate` fails: open its report (path in the task's log), look at `quarantine/`, fix the source, clear the task.
Ends by updating the asset `croupier://features`, which starts `train_and_gate`.
"""

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Metadata, dag, task

from dags.common import DEFAULTS, FEATURES, app, interval, interval_params, link, refusals, skip_scheduled

REFUSALS = refusals("features.quality.QualityFailed", "features.spec.SpecError", "builtins.ValueError")


@dag(
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS | {"retry_policy": REFUSALS},
    params=interval_params(),
    doc_md=__doc__,
    tags=["croupier", "features"],
)
def build_features() -> None:
    @task
    def collect() -> dict[str, Any]:
        from features import build

        return build.collect(app())

    @task
    def join(_collected: dict[str, Any]) -> dict[str, Any]:
        from features import build

        account = build.join(app(), *interval())
        if not account["interactions"]:
            skip_scheduled("no interaction has matured in this interval")
        return account

    @task
    def validate(account: dict[str, Any]) -> dict[str, Any]:
        from features import build

        report, page = build.validate(app(), *interval(), account)
        link(app(), page)
        return report.or_raise().to_dict()

    @task(outlets=[FEATURES])
    def encode(_quality: dict[str, Any]) -> Any:
        from features import build

        encoded = build.encode(app(), *interval())
        yield Metadata(FEATURES, extra={"app": encoded["app"], "features": encoded["features"]})
        return encoded

    encode(validate(join(collect())))


build_features()
