"""The DAG `monitor` tells people by the notifier that they configured: once an alarm, again when it is over."""

import json

import pytest

from croupier.features.clock import now_us
from croupier.features.spec import RolloutSpec
from croupier.features.utc import HOUR
from croupier.features.worlds.reels_hours import ReelsHours
from croupier.serving.release import rollout_state, rollout_store
from croupier.serving.release.stage_rule import RolloutEvidence, next_stage
from tests import reels_store
from tests.dags.mail_here import mail_server

pytestmark = pytest.mark.slow
SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
GIVEN = {"to": "ann@example.org", "subject": "{{ croupier.subject }}",
         "html_content": "{{ croupier.sentence | e }} What to do: {{ croupier.remedy | e }} {{ croupier.page }}"}  # fmt: skip


def taken_back(w, at):
    """A rollout took its candidate back, since it did harm: an alarm for a day, also of an app as young as this one."""
    numbers = {"candidate_mean": 0.05, "champion_mean": 0.24}
    rollout_store.begin(w.store, rollout_state.start(3, now=at - HOUR))
    rollout_store.change(
        w.store,
        lambda state: next_stage(state, RolloutEvidence(harms=("reward",), numbers=numbers), RolloutSpec(), now=at),
    )


def test_an_alarm_is_one_mail_with_its_cause_and_page_and_another_when_it_is_over(dags, var):
    app = ReelsHours(per_day=700, seed=4)
    w = reels_store.declare(app)
    reels_store.joined(w, app, range(2))
    with mail_server() as mail:

        def monitor():
            return dags("test", "monitor", '{"app": "shop"}', **mail.env, CROUPIER_NOTIFIER=json.dumps({SMTP: GIVEN}))

        taken_back(w, now_us() - HOUR)
        for _ in range(2):
            run = monitor()
            assert run["tasks"] == {"apps": "success", "examine[0]": "success", "alarm[0]": "failed"}, dags.said[-3000:]
        (told,) = mail.got
        assert told["to"] == "ann@example.org"
        assert told["subject"].startswith("croupier, alarm: shop needs you: the candidate of release 3 did harm")
        text = told.get_body(("html",)).get_content()
        assert "What to do: look at what it was trained on" in text
        assert "/croupier/shop/health/verdict.html" in text
        rollout_store.begin(w.store, rollout_state.start(4, now=now_us()))
        assert monitor()["state"] == "success", dags.said[-3000:]
        assert [m["subject"].partition(": ")[0] for m in mail.got] == ["croupier, alarm", "croupier, resolved"]


@pytest.mark.parametrize(("setting", "why"), [
    ("ann@example.org", "which is no JSON"),
    ('["ann@example.org"]', "expected JSON such as"),
    ('{"airflow.providers.slack.notifications.slack.SlackNotifier": {}}', "is its provider installed?"),
    ('{"airflow.providers.smtp.notifications.smtp.SmtpNotifier": {"zu": "ann"}}', "no notifier can be made with zu"),
    ('{"datetime.datetime": {"year": 2026, "month": 1, "day": 1}}', "which is no notifier of Airflow"),
])  # fmt: skip
def test_a_notifier_that_cannot_be_made_is_said(setting, why):
    from croupier.dags import notify

    with pytest.raises(ValueError, match=r"^CROUPIER_NOTIFIER: found .*") as refused:
        notify.made(setting)
    assert why in str(refused.value)
