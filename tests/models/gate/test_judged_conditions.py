"""Guardrails and data quality in the verdict, by the functions that the DAGs' tasks call: a candidate that pays with
complaints is refused, and rows of hours that failed their checks, or that nobody checked, promote nobody."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from croupier.features import build, scheduled, upkeep
from croupier.features.utc import hour_name
from croupier.features.workspace import Workspace
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import asymptotic_cs
from tests.models.gate.complaints import APP, GUARD, HARMFUL, HARMLESS, NONE, Shop

pytestmark = pytest.mark.medium


@pytest.fixture(autouse=True)
def var(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))


def test_a_candidate_that_pays_with_complaints_is_refused():
    shop = Shop(HARMFUL, GUARD)
    found, conditions = shop.verdict(shop.features()[0])
    guard = conditions["guardrail:complaint"]
    assert found["promoted"] == ""
    assert found["evaluation"]["policies"]["fixed_arm"]["verdict"] == "reject"
    assert (guard["passed"], guard["threshold"], guard["relation"]) == (False, -0.02, ">")
    judged = slice(-found["evaluation"]["rows"], None)  # the later part, which no model learnt
    arm, bad = shop.arm[judged], shop.complained[judged].astype(float)
    of_c, weight = bad[arm == 2].mean(), (arm == 2) / np.mean(arm == 2)
    lift = -(of_c + weight * (bad - of_c) - bad)  # SNIPS, linearised; the champion is the log's own uniform
    plain = asymptotic_cs(Moments.of(lift), alpha=0.04).lower
    assert guard["value"] == pytest.approx(plain, rel=0.05)  # steadied a little towards what the pmf foretells
    assert guard["reason"] == "to lose less than 0.02 a decision, with error 0.04 of the look's 0.04"
    assert "guardrail:complaint" in found["summary"]


@pytest.mark.parametrize(("complaints", "toml", "says"), [
    (HARMFUL, "", None),  # the same log without the guardrail: it is the guardrail that refuses
    (HARMLESS, GUARD + "[gate]\nguardrail_margins = {complaint = 0.05}\n", "to lose less than 0.05"),
    (HARMFUL, GUARD + "[gate]\nguardrail_margins = {complaint = 0.5}\n", "to lose less than 0.5"),  # its owner allows it
    (NONE, GUARD, "no event of it came in these rows: is it logged?"),
    (HARMLESS, '[rollout]\nguardrails = {complaint = "higher", call = "lower"}\n[gate]\nguardrail_margins = {complaint = 0.07}\n',
     "with error 0.02 of the look's 0.04"),
])  # fmt: skip
def test_what_harms_no_guardrail_by_more_than_its_margin_is_promoted(complaints, toml, says):
    shop = Shop(complaints, toml)
    found, conditions = shop.verdict(shop.features()[0])
    assert found["promoted"] == "fixed_arm", found["summary"]
    guards = {name: c for name, c in conditions.items() if name.startswith("guardrail:")}
    assert (says in guards["guardrail:complaint"]["reason"]) if says else guards == {}
    if complaints is NONE:  # three times the propensity, log(1/.04), over the rows
        assert guards["guardrail:complaint"]["value"] == pytest.approx(-3 * np.log(25) / found["evaluation"]["rows"])


def test_reward_guardrails_mean_more_is_harm_and_stand_in_one_place():
    toml = APP.replace("window_seconds = 60.0\n", 'window_seconds = 60.0\nguardrails = ["complaint"]\n')
    shop = Shop(HARMFUL)
    (shop.w.home / "app.toml").write_text(toml)
    assert Workspace.open("shop").spec.guardrails == {"complaint": "higher"}
    found, conditions = shop.verdict(shop.features()[0])
    assert found["promoted"] == ""
    assert conditions["guardrail:complaint"]["passed"] is False


@pytest.mark.parametrize(("toml", "amount", "why"), [
    (GUARD, 30.0, "outside the declared range [0, 1] ([rollout] guardrail_ranges): "),
    ("", 1.0, "encoded before it was declared; run build_features again"),
])  # fmt: skip
def test_a_guardrail_that_cannot_be_judged_blocks_and_says_why(toml, amount, why):
    shop = Shop(HARMLESS, toml, amount=amount)
    key, _ = shop.features()
    (shop.w.home / "app.toml").write_text(APP + GUARD)
    found, conditions = shop.verdict(key)
    guard = conditions["guardrail:complaint"]
    assert (found["promoted"], guard["passed"], guard["blocks"]) == ("", None, True)
    assert why in guard["reason"]


def test_an_hour_that_late_events_spoilt_promotes_nobody():
    """Between encode and judge the hour is restated, and its newer version fails: the very hours judged are known bad."""
    shop = Shop(NONE)
    key, validated = shop.features()
    assert validated["refused"] == {}
    spoilt = hour_name(shop.decisions[-1].at)
    shop.log([replace(d, event_id=f"late{i}", propensity=0.9) for i, d in enumerate(shop.decisions[-1500:])])
    build.collect("shop")
    upkeep.restate("shop")
    assert list(scheduled.validate("shop", None, scheduled.join("shop", None))["refused"]) == [spoilt]
    found, conditions = shop.verdict(key)
    quality = conditions["data_quality"]
    assert (found["promoted"], quality["passed"]) == ("", False)
    assert quality["reason"].startswith(f"1 hours did not pass: {spoilt} v2: ")
    assert "data_quality" in found["summary"]


def test_an_interval_by_hand_is_believed_once_it_was_validated():
    shop = Shop(NONE)
    asked = (shop.start.isoformat(), (shop.start + timedelta(hours=1)).isoformat())
    build.collect("shop")
    joined = scheduled.join("shop", asked)
    key = scheduled.encode("shop", asked)["features"]
    found, conditions = shop.verdict(key)
    quality = conditions["data_quality"]
    assert (found["promoted"], quality["passed"], quality["blocks"]) == ("", None, True)
    assert "of the hours judged were never validated" in quality["reason"]
    scheduled.or_raise(scheduled.validate("shop", asked, joined))
    found, conditions = shop.verdict(key)
    assert (found["promoted"], conditions["data_quality"]["passed"]) == ("fixed_arm", True), found["summary"]
