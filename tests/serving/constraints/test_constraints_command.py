"""`croupier constraints`: how rules and limits stand, from a log that is joined; `constraints release`, `app check`."""

import json

import pytest
from typer.testing import CliRunner

from croupier import Embedded
from croupier.features import build, clock
from croupier.features.interactions.join import join_interval
from croupier.features.utc import HOUR, from_us
from croupier.features.workspace import Interval
from croupier.serving.cli import app
from croupier.serving.release import bundle_store
from tests.serving import apps
from tests.serving.constrained import DECLARED, GENRE, declared, left_out
from tests.serving.embedded.shop import opened, publish


def told(*words, code=0):
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def joined(w):
    """The log of the last hour, joined as if its reward window had passed."""
    build.collect("shop")
    now = clock.now_us()
    hours = Interval.parse(from_us(now - HOUR).isoformat(), from_us(now + HOUR).isoformat())
    join_interval(w.store, w.spec.reward, start=hours.start, end=hours.end, now=from_us(now + 3 * HOUR))


@pytest.mark.slow
def test_what_was_logged_before_and_after_is_told_with_its_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_APP", "shop")
    w = opened(tmp_path)
    publish(w, apps.trained("lin_ts"))
    assert told("constraints")["constraints"] == []
    requests = apps.sample().requests(300)
    with Embedded("shop", var=tmp_path) as shop:
        shop.select_batch(requests[:100])
    w = declared(tmp_path)
    assert [each["live"] for each in told("constraints")["constraints"]] == [False] * 5
    assert told("constraints", "release") == {"app": "shop", "release": 2}
    assert told("constraints", "release") == {"app": "shop", "release": None}
    with Embedded("shop", var=tmp_path) as shop:
        answers = shop.select_batch(requests[100:])
    joined(w)
    found = {each["name"]: each for each in told("constraints")["constraints"]}
    assert all(each["live"] and each["broken"] == 0 for each in found.values())
    young = sum(r.context["age"] < 30 for r, a in zip(requests[100:], answers, strict=True) if not a.error)
    young += sum(r.context["age"] < 30 for r in requests[:100])
    assert found["no news below 30"]["decisions"] == young
    music = []
    for request, answer in zip(requests[100:], answers, strict=True):
        mine = [GENRE[arm] == "music" and arm not in left_out(request) for arm in request.arms]
        if any(mine) and not answer.error:
            music.append(sum(p for p, own in zip(answer.pmf, mine, strict=True) if own))
    assert min(music) >= 0.25 - 1e-9
    assert found["music"]["least"] < 0.25 - 1e-3, (
        "those of before kept no floor, and are not broken: nothing was promised"
    )
    assert found["music"]["decisions"] > len(music)
    assert found["music"]["target"] == "≥ 0.25 in each decision"
    assert len(music) > 100
    assert "constraint music" in CliRunner().invoke(app, ["app", "check"]).output


@pytest.mark.slow
def test_a_decision_that_broke_a_rule_is_counted(tmp_path, monkeypatch):
    """The log of a release whose manifest has the rules, decided as if it had not."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    w = declared(tmp_path, DECLARED)
    number = publish(w, apps.trained("lin_ts"))
    assert "safeguards" in bundle_store.manifest(w.store, number)
    requests = apps.sample().requests(100)
    with Embedded("shop", var=tmp_path) as shop:
        careless = shop.host.selector.offered
        careless._rules.rules, careless._limits = (), type(careless._limits)()
        shop.select_batch(requests)
    joined(w)
    found = {each["name"]: each for each in told("constraints", "--app", "shop", code=1)["constraints"]}
    expected = sum(any(GENRE[arm] == "news" for arm in left_out(r)) for r in requests)
    assert found["no news below 30"]["broken"] == expected > 0
