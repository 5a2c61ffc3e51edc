"""A change of the users is looked for once a training, and renews a champion that has not learnt it."""

import shutil

import pytest

from croupier.features.build import Features
from croupier.features.utc import HOUR, to_us
from croupier.features.workspace import Workspace
from croupier.models import changes, retraining
from croupier.models.adaptive_window import Choice
from croupier.models.gate.gate import PROMOTE, UNDECIDED
from croupier.models.gate.reports import Evaluation
from croupier.models.ope.prequential import Process
from croupier.serving.operate import renewal, verdict_release
from croupier.serving.release import rollout_store
from tests.models.reports import report
from tests.models.turns import START, WORLD, log, opened, released, turn


@pytest.mark.parametrize(("since", "until", "end", "stale"), [
    (0, 5, 100, False), (50, 40, 100, True), (50, 60, 100, True), (50, 80, 100, False), (50, 100, 100, False),
])  # fmt: skip
def test_a_policy_misses_a_change_of_which_it_learnt_less_than_half(since, until, end, stale):
    assert changes.missed(Choice(since=since, better=9.0 * bool(since)), until, end) == stale


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """(var, state): a shop whose champion has learnt its users, and whose refresh is on its way, as they change."""
    folder = tmp_path_factory.mktemp("before")
    with pytest.MonkeyPatch.context() as patch:
        w = opened(folder, patch, "on_change = true")
        log(w, WORLD, 0, 8)
        key, _ = turn(8)
        released(w, key, folder)
        log(w, WORLD, 8, 1)
        _, calm = turn(9)
        assert calm["kind"] == ""
        assert "changed" not in calm["summary"]
        under_way = verdict_release.publish_verdict(calm | {"kind": "refresh", "promoted": "lin_ts"})
        assert under_way["published"], "a refresh that the change overtakes in the midst of its rollout"
        log(w, WORLD.flipped(), 9, 5)
    return folder / "var", rollout_store.read_state(w.store)


@pytest.mark.slow
@pytest.mark.parametrize("on_change", [True, False])
def test_a_champion_of_other_users_is_renewed_and_the_rollout_judges(before, on_change, tmp_path, monkeypatch):
    var, begun = before
    shutil.copytree(var, tmp_path / "var")
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("CROUPIER_QUALITY_PAGES", "false")
    declared = Workspace.open("shop").home / "app.toml"
    declared.write_text(declared.read_text().replace("on_change = true", f"on_change = {str(on_change).lower()}"))
    w = Workspace.open("shop")
    newest, verdict = turn(14)
    found = changes.change(w, Features.fetch(w.store, newest, tmp_path / "newest"), to_us(START) + 14 * HOUR)
    hours = (found.since - to_us(START)) / HOUR
    assert 8 <= hours <= 11
    assert found.better > changes.SURE
    assert verdict["kind"] == ("refresh" if on_change else "")
    assert verdict["promoted"] == ("lin_ts" if on_change else "")
    states = [rollout_store.read_state(w.store)]
    seasons = [renewal.hurried(w.store, w.spec, state).rollout.season for state in (begun, *states)]
    assert seasons == ["24h", "none" if on_change else "24h"], "a champion of other users is replaced at any hour"
    assert verdict["outcome"]["published"] == on_change, "in the place of the refresh that has not learnt the change"
    assert rollout_store.read_state(w.store).release == begun.release + on_change
    assert ("the users changed on 2026-03-01 " in verdict["summary"]) == on_change
    key = w.store.list(f"features/{newest}/change-")
    assert len(list(key)) == 1, "the training looked for the change, and the verdict read what it found"


@pytest.mark.parametrize(("decision", "changed", "kind"), [
    (PROMOTE, 5, "refresh"), (PROMOTE, 0, "refresh"), (UNDECIDED, 5, "refresh"), (UNDECIDED, 0, ""),
])  # fmt: skip
def test_a_refresh_that_the_old_log_would_promote_still_says_that_the_users_changed(decision, changed, kind):
    """It said nothing of it, so that the refresh under way, which had learnt the old users, went on for a day."""
    found = Evaluation(
        champion="lin_ts (serving)",
        rows=900,
        floor=0.02,
        alpha=0.04,
        self_test=0.5,
        leak=0.5,
        suspect=-1,
        reward_model={},
        policies={"lin_ts": report("lift_lower", decision=decision, lift=-0.02)},
    )
    judged = retraining._judged(
        Process(champion="lin_ts", encoder="", start=0, champions=(), candidates={"lin_ts": ()}),
        [found],
        changed,
        old=False,
    )
    assert (judged.kind, judged.changed) == (kind, changed)
    assert judged.promoted == ("lin_ts" if kind else "")
