"""Pages that an app logged by `select_slate`, through real runs of build_features and train_and_gate."""

import json
from datetime import timedelta

import pytest

from croupier.features.workspace import Workspace
from croupier.serving.release import rollout_store
from tests.serving.slates import pages

pytestmark = pytest.mark.slow
PAGES = 2600


def test_the_dags_judge_pages_as_slates_and_promote_what_they_earn(dags, var):
    pages.logged("pages", var, taste=pages.TASTES, clicks=pages.cascade, pages=PAGES)
    span = {"start": pages.START.isoformat(), "end": (pages.START + timedelta(hours=1)).isoformat()}
    built = dags("test", "build_features", json.dumps({"app": "pages", **span}))
    assert built["state"] == "success", built
    key = built["returned"]["encode"]["features"]
    gate = dags("test", "train_and_gate", json.dumps({"app": "pages", "features": key}))
    assert gate["state"] == "success", gate
    verdict = gate["returned"]["judge"][0]
    slates = verdict["evaluation"]["slates"]
    assert (slates["slots"], slates["decisions"], slates["left_out"]) == (3, 3 * verdict["evaluation"]["rows"], 0)
    assert verdict["promoted"] == "lin_ts", verdict["summary"]
    assert gate["returned"]["publish"][0]["candidate"] == "lin_ts"
    assert rollout_store.read_state(Workspace.open("pages").store).stage == "5%"
