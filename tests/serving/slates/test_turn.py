"""Apps that log pages by `select_slate`, and take a turn of the loop as its schedule has it: judged by slate."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from croupier.features.batch import concatenate
from croupier.features.build import Features
from croupier.features.interactions.versions import read_interactions
from croupier.features.slates.logged import COLUMNS
from croupier.features.spec import GateSpec
from croupier.features.workspace import Workspace, get_folder
from croupier.models.gate import evaluation as by_decision
from croupier.models.gate.gate import PROMOTE, UNDECIDED
from croupier.models.gate.verdict_text import table
from croupier.models.ope.rounds import as_served
from croupier.models.policy import load, make
from croupier.models.retraining import BEFORE
from croupier.models.slates.enumeration import conditionals, every_slate
from croupier.models.slates.policies import Minimums, PlackettLuce
from croupier.serving.constraints import slates_standing, standing
from croupier.serving.release import rollout_store
from croupier.serving.release.safeguards import Safeguards
from tests.serving.slates import pages

pytestmark = pytest.mark.medium
PAGES = 2600
KINDS = {arm: {"name": arm, "kind": "ad" if arm == "arm-1" else "post"} for arm in pages.ARMS}
HELD = f"""{pages.TOML}
[arm.kind]
type = "categorical"
[slates]
diversity = 0.4
[[slates.minimums]]
feature = "kind"
value = "ad"
"""


@pytest.fixture(scope="module")
def turned(tmp_path_factory):
    """By name: the app's workspace and what the turn's verdict was."""
    var, found = tmp_path_factory.mktemp("var"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(var))
        patch.setenv("CROUPIER_QUALITY_PAGES", "false")
        for name, taste, clicks in (("good", pages.TASTES, pages.cascade), ("null", pages.ALIKE, pages.always_one)):
            pages.logged(name, var, taste=taste, clicks=clicks, pages=PAGES)
            w = Workspace.open(name)
            found[name] = SimpleNamespace(w=w, verdict=pages.turned(name, PAGES)["verdict"])
        pages.logged("held", var, taste=pages.TASTES, clicks=pages.cascade, pages=PAGES, toml=HELD, arms=KINDS)
        verdict = pages.turned("held", PAGES)["verdict"]
        found["held"] = SimpleNamespace(w=Workspace.open("held"), verdict=verdict)
        yield found


def judged_rows(app, folder):
    """The rows that judged, and the models that they judged."""
    features = Features.fetch(app.w.store, app.verdict["features"], folder)
    log = concatenate(list(features.chunks()))
    kept = get_folder(app.w.store, app.verdict["candidates"]["lin_ts"] + BEFORE, folder / "model")
    return log[log.at >= features.split_at], load(kept)


def test_a_policy_whose_pages_earn_more_is_promoted_and_its_rollout_begins(turned):
    found = turned["good"].verdict
    body, candidate = found["evaluation"], found["evaluation"]["policies"]["lin_ts"]
    assert (found["promoted"], candidate["verdict"]) == ("lin_ts", PROMOTE)
    assert body["slates"] == {"slots": 3, "decisions": 3 * body["rows"], "left_out": 0}
    assert body["rows"] == pytest.approx(PAGES * 0.4, abs=50)  # pages come fifty at a time
    uniform = np.mean([1 - np.prod(1 - np.delete(taste, out)) for taste in pages.TASTES for out in range(4)])
    assert body["policies"]["uniform"]["dr"] == pytest.approx(uniform, abs=0.05)
    assert candidate["lift"]["lower"] > 0.0
    assert rollout_store.read_state(turned["good"].w.store).stage == "5%"


def test_a_policy_whose_pages_earn_the_same_is_not_though_its_slots_seem_to_earn_more(turned, tmp_path):
    """Each page is worth one click, whatever it shows: the higher up an attractive arm, the lower its neighbours earn."""
    app = turned["null"]
    candidate = app.verdict["evaluation"]["policies"]["lin_ts"]
    assert (app.verdict["promoted"], candidate["verdict"]) == ("", UNDECIDED)
    assert app.verdict["evaluation"]["policies"]["uniform"]["dr"] == pytest.approx(1.0, abs=0.03)
    assert candidate["dr"] == pytest.approx(1.0, abs=0.06)
    log, model = judged_rows(app, tmp_path)
    policies, spec = {"uniform": make("uniform"), "lin_ts": model}, app.w.spec
    alone = by_decision.evaluate(
        policies, log, champion="uniform", floor=spec.policies.floor, gate=GateSpec(min_ess=50)
    )
    assert alone.policies["lin_ts"].verdict.decision == PROMOTE, "slots as single decisions"
    assert alone.policies["lin_ts"].lift > 0.05


def test_what_is_kept_of_slots_says_which_page_they_are_of(turned, tmp_path):
    app = turned["good"]
    features = Features.fetch(app.w.store, app.verdict["features"], tmp_path)
    log = concatenate(list(features.chunks()))
    assert len(COLUMNS) == log.slate.shape[1]
    slate, slot, slots = log.slate.T
    assert set(slots) == {3}
    assert np.array_equal(np.bincount(slot), [PAGES] * 3)
    assert len(np.unique(slate)) == PAGES
    for number in np.unique(slate)[:5]:
        mine = log[np.flatnonzero(slate == number)]
        assert sorted(mine.batch.mask.sum(axis=1)) == [2, 3, 4]
        assert len(set(mine.unit)) == 1


def test_page_and_task_log_say_that_it_is_judged_by_slate(turned):
    verdict = turned["good"].verdict
    page = Path(verdict["report"]).read_text()
    assert "Judged by slate." in page
    assert "A round is a page of up to 3 arms in order" in " ".join(page.split())
    assert "reward per slate" in page
    assert "more a slate than uniform" in page
    assert "cascade-DR (decides)" in page
    n = verdict["evaluation"]["rows"]
    assert f"judged by slate: {n:,} slates of up to 3 slots, reward per slate by cascade-DR" in table(verdict)
    assert " a slate, lower bound" in verdict["summary"]


def test_slates_that_app_toml_asks_something_of_are_judged_as_they_are_served(turned, tmp_path):
    """Each page has its advertisement; the uniform policy is worth what its pages with one are, by enumeration, and the
    candidate is judged with what likeness takes off."""
    found, (log, policy) = turned["held"].verdict["evaluation"], judged_rows(turned["held"], tmp_path)
    law = Minimums(
        policy=PlackettLuce(log_weights=np.zeros((1, 4)), mask=np.ones((1, 4), bool)),
        category=np.array([[0, 1, 0, 0]]),
        least={1: 1},
        k=3,
    )
    joint, slates = conditionals(law, 3).prod(axis=2)[0], every_slate(4, 3)
    worth = [joint @ (1 - np.prod(1 - taste[slates], axis=1)) for taste in pages.TASTES]
    assert found["policies"]["uniform"]["dr"] == pytest.approx(np.mean(worth), abs=0.05)
    assert (found["slates"]["slots"], found["slates"]["left_out"]) == (3, 0)
    assert found["self_test"] > 1e-3
    ids = np.array(log.batch.catalogue.ids)[log.batch.arm]
    for slot in range(3):
        rows = log.slate[:, 1] == slot
        price = log.batch.price[rows]
        assert set(price[log.batch.mask[rows]].tolist()) == ({0.0} if slot == 0 else {0.0, 0.2})
        assert ((price > 0) <= (ids[rows] != "arm-1")).all(), "nothing is like the only advertisement"
    assert not log.batch.left_out.any(), "these were left out when it was served"
    plain = replace(log.batch, price=None)
    assert np.abs(as_served(policy, log.batch, 0.3) - as_served(policy, plain, 0.3)).max() > 0.05


def test_croupier_constraints_says_how_the_minimums_stand(turned):
    """An advertisement on each page; of a page by hand whose release asked for one, and which has none, it says so."""
    w = turned["held"].w
    end = pages.START + timedelta(hours=1 + PAGES // 3600)
    (said,) = standing.standing(w, end=end, days=1)
    assert (said.kind, said.name, said.live, said.decisions) == ("slates", "kind = 'ad'", True, PAGES)
    assert (said.least, said.so_far, said.most, said.broken) == (1.0, 1.0, 1.0, 0)
    rows = read_interactions(w.store, start=end - timedelta(days=1), end=end)
    rules = Safeguards.declared(w.spec).slate_rules(w.arms())
    first = rows.filter(pl.col("event_id").str.starts_with("page-0/"))
    without = first.with_columns(arm=pl.lit("arm-0"), release=1)
    (kept,) = slates_standing.kept(
        rules, pl.concat([first.with_columns(unit_id=pl.lit("v")), without, rows[-1:]], how="vertical_relaxed")
    )
    assert (list(kept.shown), kept.broken(1, {1}), kept.broken(1, set())) == ([1, 0], 1, 0)
