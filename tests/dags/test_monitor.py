"""The DAG `monitor` tells people by the notifier that they configured, by mail or webhook: once an alarm, again when it
is over, and again what was not taken."""

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
from tests.dags.webhook_here import hooks

pytestmark = pytest.mark.slow
SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
GIVEN = {"to": "ann@example.org", "subject": "{{ croupier.subject }}",
         "html_content": "{{ croupier.sentence | e }} What to do: {{ croupier.remedy | e }} {{ croupier.page }}"}  # fmt: skip

WEBHOOK = "croupier.dags.webhook.WebhookNotifier"
SECRET = "/services/T1/B2/secret"
TEXT = "*{{ croupier.subject | e }}*\nWhat to do: {{ croupier.remedy | e }}\n<{{ croupier.page }}|health page>"


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
    ('{"airflow.providers.nobody.notifications.NobodysNotifier": {}}', "is its provider installed?"),
    ('{"airflow.providers.smtp.notifications.smtp.SmtpNotifier": {"zu": "ann"}}', "no notifier can be made with zu"),
    ('{"datetime.datetime": {"year": 2026, "month": 1, "day": 1}}', "which is no notifier of Airflow"),
])  # fmt: skip
def test_a_notifier_that_cannot_be_made_is_said(setting, why):
    from croupier.dags import notify

    with pytest.raises(ValueError, match=r"^CROUPIER_NOTIFIER: found .*") as refused:
        notify.made(setting)
    assert why in str(refused.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Apps of this test alone, for this process; returns what lets a DAG's run see them."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    return {"CROUPIER_VAR": str(tmp_path)}


def test_an_alarm_is_posted_once_with_its_link_and_again_when_it_is_over(dags, folder):
    app = ReelsHours(per_day=700, seed=4)
    w = reels_store.declare(app)
    reels_store.joined(w, app, range(2))
    with hooks() as receiver:
        given = {"url": receiver.url + SECRET, "body": {"text": TEXT}}

        def monitor():
            env = folder | {"CROUPIER_NOTIFIER": json.dumps({WEBHOOK: given})}
            return dags("test", "monitor", '{"app": "shop"}', **env)

        taken_back(w, now_us() - HOUR)
        receiver.answers = [503]
        assert monitor()["tasks"]["alarm[0]"] in {"failed", "up_for_retry"}, dags.said[-3000:]
        assert "127.0.0.1: found 503 Service Unavailable (ok), expected an answer of 200 to 299" in dags.said
        for _ in range(2):
            run = monitor()
            assert run["tasks"] == {"apps": "success", "examine[0]": "success", "alarm[0]": "failed"}, dags.said[-3000:]
        refused, taken = receiver.got
        assert refused == taken, "what was not taken is told anew, and what was taken is not told twice"
        path, headers, body = taken
        assert (path, headers["Content-Type"], set(body)) == (SECRET, "application/json", {"text"})
        subject, remedy, link = body["text"].split("\n")
        assert subject.startswith("*croupier, alarm: shop needs you: the candidate of release 3 did harm")
        assert remedy.startswith("What to do: look at what it was trained on")
        assert link.startswith("<http")
        assert link.endswith("/croupier/shop/health/verdict.html|health page>")
        rollout_store.begin(w.store, rollout_state.start(4, now=now_us()))
        assert monitor()["state"] == "success", dags.said[-3000:]
        assert [b["text"].partition(": ")[0] for *_, b in receiver.got[1:]] == [
            "*croupier, alarm",
            "*croupier, resolved",
        ]
        assert SECRET not in dags.said


def sent(url, body, subject, **given):
    from croupier.dags import notify

    (notifier,) = notify.made(json.dumps({WEBHOOK: {"url": url, "body": body} | given}))
    context = {"croupier": {"subject": subject}}
    notifier.render_template_fields(context)
    notifier.notify(context)


def test_what_a_template_brings_breaks_neither_the_json_nor_slacks_markup():
    odd = 'arm "<!channel>" & }}\n{% x %}'
    with hooks() as receiver:
        body = {"text": "{{ croupier.subject | e }}", "plain": ["{{ croupier.subject }}"], "priority": 3}
        sent(f"{receiver.url}/a", body, odd, headers={"Authorization": "Bearer {{ croupier.subject | length }}"})
        ((_, headers, found),) = receiver.got
    assert found == {"text": "arm &#34;&lt;!channel&gt;&#34; &amp; }}\n{% x %}", "plain": [odd], "priority": 3}
    assert headers["Authorization"] == f"Bearer {len(odd)}"


@pytest.mark.parametrize("code", [301, 302, 307, 404, 500])
def test_what_was_not_taken_raises_and_names_the_host_alone(code):
    with hooks() as receiver:
        receiver.answers = [code]
        with pytest.raises(
            RuntimeError, match=rf"^WebhookNotifier: 127.0.0.1: found {code} .*expected an answer of 200"
        ) as refused:
            sent(f"{receiver.url}/sick?key=secret", {}, "x")
        assert len(receiver.got) == 1, "a redirect is not followed"
    assert "secret" not in str(refused.value)
    if code >= 400:
        assert "(no_service)" in str(refused.value)


def test_nobody_there_and_an_address_that_is_none_are_said():
    with hooks() as receiver:
        gone = receiver.url
    with pytest.raises(RuntimeError, match="Connection refused"):
        sent(gone, {}, "x")
    with pytest.raises(ValueError, match="found a url of 11 characters, expected an address"):
        sent("file:///etc", {}, "x")


PROVIDED = {  # of Airflow's providers: notifier, arguments, and the connection that has the secret
    "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier": (
        {"text": TEXT},
        lambda url: {
            "AIRFLOW_CONN_SLACK_DEFAULT": json.dumps(
                {"conn_type": "slackwebhook", "host": f"{url}/services", "password": "T1/B2/secret"}
            )
        },
    ),
    "airflow.providers.http.notifications.HttpNotifier": (
        {"endpoint": SECRET, "json": {"text": TEXT}},
        lambda url: {"AIRFLOW_CONN_HTTP_DEFAULT": url},
    ),
}


@pytest.mark.parametrize("notifier", PROVIDED)
def test_notifiers_of_airflows_providers_post_the_same(dags, folder, notifier):
    """Skipped where the provider is not installed, which it is not by `make setup`: dags/README.md says how to add it."""
    pytest.importorskip(notifier.rpartition(".")[0], reason="its provider is not installed", exc_type=ImportError)
    given, connection = PROVIDED[notifier]
    w = reels_store.declare(ReelsHours(per_day=700, seed=4))
    reels_store.joined(w, ReelsHours(per_day=700, seed=4), range(2))
    taken_back(w, now_us() - HOUR)
    with hooks() as receiver:
        env = folder | connection(receiver.url) | {"CROUPIER_NOTIFIER": json.dumps({notifier: given})}
        dags("test", "monitor", '{"app": "shop"}', **env)
        ((path, _, body),) = receiver.got
    assert path == SECRET, dags.said[-3000:]
    assert body["text"].startswith("*croupier, alarm: shop needs you: the candidate of release 3 did harm")
    assert body["text"].endswith("/croupier/shop/health/verdict.html|health page>")
