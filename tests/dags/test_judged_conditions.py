"""Guardrails and data quality through Airflow's own tasks: who pays with complaints, or is judged on rows that failed
their checks, is not promoted. Each case has a twin that is."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from croupier.features.utc import hour_name
from tests.models.gate.complaints import GUARD, HARMFUL, NONE, Shop

pytestmark = pytest.mark.slow


def built(dags, shop):
    """A run of build_features by hand, over the shop's hour."""
    hour = {"start": shop.start.isoformat(), "end": (shop.start + timedelta(hours=1)).isoformat()}
    return dags("test", "build_features", json.dumps({"app": shop.name, **hour}))


def judged(dags, shop, key):
    """A run of train_and_gate: the verdict, its conditions on the candidate, and what was published of it."""
    run = dags("test", "train_and_gate", json.dumps({"app": shop.name, "features": key}))
    assert run["state"] == "success", run
    (found,), (published,) = run["returned"]["judge"], run["returned"]["publish"]
    return found, {c["name"]: c for c in found["evaluation"]["policies"]["fixed_arm"]["conditions"]}, published


@pytest.mark.parametrize(
    ("toml", "promoted", "failed"),
    [
        pytest.param(GUARD, "", ["guardrail:complaint"], id="guarded"),
        # its twin, which is promoted, runs by functions in tests/models/gate/test_judged_conditions.py as well
        pytest.param("", "fixed_arm", [], id="unguarded", marks=pytest.mark.full),
    ],
)
def test_a_candidate_that_pays_with_complaints_is_refused(dags, var, toml, promoted, failed):
    shop = Shop(HARMFUL, toml, name="guarded" if toml else "unguarded")
    run = built(dags, shop)
    assert run["state"] == "success", run
    found, conditions, published = judged(dags, shop, run["returned"]["encode"]["features"])
    assert (found["promoted"], published["candidate"]) == (promoted, promoted), found["summary"]
    assert [name for name, c in conditions.items() if c["passed"] is False] == failed
    assert ("guardrail:complaint" in conditions) is bool(toml)


def test_an_hour_whose_newest_version_failed_its_checks_promotes_nobody(dags, var):
    shop = Shop(NONE, name="spoilt")
    run = built(dags, shop)
    assert run["state"] == "success", run
    key = run["returned"]["encode"]["features"]
    shop.log([replace(d, event_id=f"late{i}", propensity=0.9) for i, d in enumerate(shop.decisions[-1500:])])
    again = built(dags, shop)
    assert (again["state"], again["tasks"]["validate[0]"]) == ("failed", "failed")
    found, conditions, published = judged(dags, shop, key)
    assert (found["promoted"], published["candidate"]) == ("", "")
    assert [name for name, c in conditions.items() if c["passed"] is False] == ["data_quality"]
    spoilt = hour_name(shop.decisions[-1].at)
    assert conditions["data_quality"]["reason"].startswith(f"1 hours did not pass: {spoilt} v2: ")
