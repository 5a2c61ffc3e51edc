"""The steps of train_and_gate on a small log: what is refused is named, and a task may run again."""

from datetime import UTC, datetime

import orjson
import pytest

from croupier.features import build
from croupier.features.interactions.privacy import forget
from croupier.features.spec import SpecError
from croupier.features.store.storage import FolderStore
from croupier.features.workspace import Workspace
from croupier.models import training
from croupier.models.gate.alpha_spending import Ledger
from tests import shop

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

START, END = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """The key of an encoded log, in an app of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(tmp_path_factory.mktemp("var")))
        shop.write(400, seed=3)
        build.collect("shop")
        build.join("shop", START, END)
        yield build.encode("shop", START, END)["features"]


@pytest.mark.parametrize(("policies", "named"), [
    ('candidates = ["nobody"]', "policies.candidates 'nobody'"),
    ('candidates = ["lin_ts"]\n[policies.parameters.lin_ts]\ncolour = 1', r"policies\.parameters\.lin_ts: .*'colour'"),
    ('candidates = ["lin_ts"]\n[policies.parameters.lin_ts]\ndraws = 0', r"policies\.parameters\.lin_ts: .*draws=0"),
])  # fmt: skip
def test_a_policy_that_cannot_be_made_names_its_entry(encoded, policies, named):
    home = Workspace.open("shop").home
    kept = (home / "app.toml").read_text()
    (home / "app.toml").write_text(f"[policies]\n{policies}\n")
    try:
        (job,) = training.plan([("shop", encoded)])
        with pytest.raises(SpecError, match=named):
            training.train(job["app"], job["features"], job["policy"])
    finally:
        (home / "app.toml").write_text(kept)


def test_two_judges_at_once_record_one_look(encoded, monkeypatch):
    """The other one records its look between this one's reading of the ledger and its writing."""
    job = training.train("shop", encoded, "lin_ts")
    real, others = FolderStore.swap, [lambda: training.judge([job])]

    def late(store, key, data, version):
        while key.startswith("looks/") and others:
            others.pop()()
        real(store, key, data, version)

    monkeypatch.setattr(FolderStore, "swap", late)
    (verdict,) = training.judge([job])
    assert verdict["promoted"] == ""
    assert len(Ledger.from_json(Workspace.open("shop").store.get("looks/uniform.json").decode()).looks) == 1


def test_features_whose_rows_were_forgotten_are_made_anew(tmp_path, monkeypatch):
    """Between train and judge a unit goes, and with it every encoded log that held it."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    w = shop.write(400, seed=3)
    build.collect("shop")
    build.join("shop", START, END)
    key = build.encode("shop", START, END)["features"]
    job, spool = training.train("shop", key, "lin_ts"), w.spool()
    unit_id = orjson.loads(spool.read("decisions", 0, 1)[0][1])["unit_id"]
    forget(w.store, spool, w.spec.reward, unit_id=unit_id, host=w.settings.host, now=datetime.now(UTC))
    spool.close()
    with pytest.raises(
        ValueError, match=rf"^features {key}: found no encoded rows.* run build_features from {START[:10]}"
    ):
        training.judge([job])
    again = build.encode("shop", START, END)["features"]
    assert again != key
    (verdict,) = training.judge([training.train("shop", again, "lin_ts")])
    assert (verdict["features"], verdict["promoted"]) == (again, "")


def test_planned_looks_reach_the_judge_the_ledger_and_the_page(encoded):
    """The same log is a look that was planned, or lies between two: then nothing is decided, whatever the bound."""
    w, job = Workspace.open("shop"), training.train("shop", encoded, "lin_ts")
    kept = (w.home / "app.toml").read_text()
    found = {}
    try:
        for horizon in (100, 100_000):
            (w.home / "app.toml").write_text(f"[gate]\nmin_rows = 10\nlooks = 2\nhorizon = {horizon}\n")
            (verdict,) = training.judge([job])
            page = next(Workspace.open("shop").reports.rglob("*.html")).read_text()
            (policy,) = [p for p in verdict["evaluation"]["policies"].values() if p["role"] == "candidate"]
            found[horizon] = {c["name"]: c for c in policy["conditions"]}, page
            rows = verdict["evaluation"]["rows"]
    finally:
        (w.home / "app.toml").write_text(kept)
    due, page = found[100]
    assert due["planned_look"]["passed"] is True
    assert due["planned_look"]["reason"] == "look 1 of a plan of 2 over 100 rows"
    assert due["lift_lower"]["reason"] == "by planned look"
    assert "the 2 looks that were planned together" in " ".join(page.split())
    between, _ = found[100_000]
    assert between["planned_look"]["passed"] is False
    assert between["planned_look"]["threshold"] == 50_000
    ledger = Ledger.from_json(w.store.get("looks/uniform.json").decode())
    assert [look.rows for look in ledger.looks] == [rows], "one look, reserved once, whatever the plan"


def test_days_count_the_judged_part_of_an_interval_alone(encoded):
    job = training.train("shop", encoded, "lin_ts")
    (verdict,) = training.judge([job])
    body = verdict["evaluation"]
    (policy,) = [p for p in body["policies"].values() if p["role"] == "candidate"]
    assert body["judged_share"] == pytest.approx(0.4, abs=0.01)
    assert policy["details"]["known"]["judged"] == body["judged_share"]
    for mode in policy["details"]["plan"]:
        if mode["rows"]:
            per_day = policy["details"]["known"]["per_day"]
            assert mode["days"] == pytest.approx(mode["rows"] / (0.4 * per_day), rel=0.05)
