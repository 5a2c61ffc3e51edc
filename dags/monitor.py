"""
### monitor — is each app well, and if not, why

**When** hourly, twenty minutes past; by hand at any time. `croupier health` says the same in a terminal.

| task | does |
|---|---|
| `apps` | whom the run is for: one mapped line of tasks each |
| `examine` | makes the figures of the joined hours, judges the last one, keeps the page (its `Report` button) |
| `alarm` | red when the verdict is *act*, with the cause and what to do; tells people by `CROUPIER_NOTIFIER` |

People are told when an alarm begins, when its cause becomes another, once a day while it stands, and when it is over.
`CROUPIER_NOTIFIER` names notifiers of Airflow by their class, with their arguments, which may use `croupier.subject`,
`.app`, `.sentence`, `.cause`, `.remedy` and `.page` (the address of the health page):

    CROUPIER_NOTIFIER='{"airflow.providers.smtp.notifications.smtp.SmtpNotifier": {"to": "ann@example.org",
      "subject": "{{ croupier.subject }}", "html_content": "{{ croupier.sentence | e }} {{ croupier.page }}"}}'
    CROUPIER_NOTIFIER='{"croupier.dags.webhook.WebhookNotifier": {"url": "https://hooks.slack.com/services/T/B/X",
      "body": {"text": "*{{ croupier.subject | e }}* <{{ croupier.page }}|health page>"}}}'

The second is Slack's, and any other receiver of JSON's; `dags/README.md` has the notifiers of Airflow's providers.

What `croupier health silence` silenced does not count.
The landing page `/croupier/` has each app's sentence. How often an alarm is false: models/HEALTH.md.
**Safe to repeat**: figures are made once for each version of an hour, the page is written anew, nobody is told twice;
where one of several notifiers failed, all are asked again.
"""

from typing import Any

from airflow.sdk import dag, task, task_group

from croupier.dags.common import DEFAULTS, app_param, apps, line, link, refusals, schedule
from croupier.features.utc import HOUR_SECONDS


@dag(
    schedule=schedule("20 * * * *", seconds=HOUR_SECONDS),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params={"app": app_param()},
    doc_md=__doc__,
    tags=["croupier", "serving"],
)
def monitor() -> None:
    """Each app is examined, and an alarm is a red task."""

    @task
    def examine(app: str) -> dict[str, Any]:
        from croupier.features.store import layout
        from croupier.serving.health import examine as health

        line(app)
        said = health.keep(app)
        link(app, layout.HEALTH_PAGE)
        print(said["sentence"])
        names = "app", "level", "sentence", "cause", "remedy", "silenced"
        return {name: said.get(name, "") for name in names}

    @task(retry_policy=refusals("croupier.serving.health.examine.Unwell"))
    def alarm(said: dict[str, Any]) -> None:
        from croupier.dags import notify
        from croupier.features.store import layout
        from croupier.serving.health import examine as health

        line(said["app"])
        link(said["app"], layout.HEALTH_PAGE)
        notify.people(said)
        health.or_raise(said)

    @task_group(prefix_group_id=False)
    def of_app(app: str) -> None:
        alarm(examine(app))

    of_app.expand(app=task(apps)())


monitor()
