"""What health kept of parts of the traffic, and of how well is learnt, as metrics: values by hand."""

import json

from croupier.features.store import layout
from tests.serving.monitoring.test_exporter import SAID, make, read, var  # noqa: F401 - a fixture


def said(w, **more):
    w.store.put(layout.report(layout.HEALTH_SAID), json.dumps(SAID | more).encode())


def test_each_role_release_and_segment_that_is_judged_has_its_verdict(var):  # noqa: F811
    levels = (
        ("role", "candidate", "watch"),
        ("release", "4", "fine"),
        ("segment", "device=tv", "act"),
        ("role", "holdout", ""),
    )
    said(make(var, "shop", decisions=1), parts=[dict(zip(("group", "key", "level"), x, strict=True)) for x in levels])
    found = {who[2:]: x for who, x in read("shop").items() if who[0] == "health_part"}
    expected = {("role", "candidate"): 1, ("release", "4"): 0, ("segment", "device=tv"): 2}
    assert found == expected, "what is only shown is not exported"


def test_predictions_posteriors_and_features_are_exported_where_they_are_known(var):  # noqa: F811
    w = make(var, "shop", decisions=1)
    learning = {
        "champion": {"beyond": 0.01, "skill": -0.2, "sharpness": 0.5}, "reward_model": None,
        "conditions": [{"who": "the champion, lin_ts", "number": 1e5}], "losses": [],
        "features": [{"name": "context.age", "nats_now": 0.02}, {"name": "context.since", "nats_now": None}],
    }  # fmt: skip
    said(w, learning=learning)
    names = ("reward_", "posterior_condition", "feature_")
    assert {(name, *more): x for (name, _, *more), x in read("shop").items() if name.startswith(names)} == {
        ("reward_calibration_error", "champion"): 0.01, ("reward_skill", "champion"): -0.2,
        ("reward_sharpness", "champion"): 0.5, ("posterior_condition", "the champion, lin_ts"): 1e5,
        ("feature_information", "context.age"): 0.02,
    }  # fmt: skip
    said(w)
    assert not any(name.startswith(names) for name, *_ in read("shop")), "an older version kept none of it"
