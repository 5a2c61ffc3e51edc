"""Apps that log pages by `select_slate`, and take a turn of the loop as its schedule has it: judged by slate."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from croupier.features.batch import concatenate
from croupier.features.build import Features
from croupier.features.slates.logged import COLUMNS
from croupier.features.spec import GateSpec
from croupier.features.workspace import Workspace, get_folder
from croupier.models.gate import evaluation as by_decision
from croupier.models.gate.gate import PROMOTE, UNDECIDED
from croupier.models.gate.verdict_text import table
from croupier.models.policy import load, make
from croupier.models.retraining import BEFORE
from croupier.serving.release import rollout_store
from tests.serving.slates import pages

pytestmark = pytest.mark.medium
PAGES = 2600


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
