"""A change of the users is looked for once a training, and renews a champion that has not learnt it."""

import pytest

from croupier.features.build import Features
from croupier.features.utc import HOUR, to_us
from croupier.models import changes
from croupier.models.adaptive_window import Choice
from croupier.serving.operate import verdict_release
from croupier.serving.release import rollout_store
from tests.models.turns import START, WORLD, log, opened, released, turn


@pytest.mark.parametrize(("since", "until", "end", "stale"), [
    (0, 5, 100, False), (50, 40, 100, True), (50, 60, 100, True), (50, 80, 100, False), (50, 100, 100, False),
])  # fmt: skip
def test_a_policy_misses_a_change_of_which_it_learnt_less_than_half(since, until, end, stale):
    assert changes.missed(Choice(since=since, better=9.0 * bool(since)), until, end) == stale


@pytest.mark.slow
@pytest.mark.parametrize("on_change", [True, False])
def test_a_champion_of_other_users_is_renewed_and_the_rollout_judges(on_change, tmp_path, monkeypatch):
    w = opened(tmp_path, monkeypatch, f"on_change = {str(on_change).lower()}")
    log(w, WORLD, 0, 8)
    key, _ = turn(8)
    released(w, key, tmp_path)
    log(w, WORLD, 8, 1)
    _, calm = turn(9)
    assert calm["kind"] == ""
    assert "changed" not in calm["summary"]
    under_way = verdict_release.publish_verdict(calm | {"kind": "refresh", "promoted": "lin_ts"})
    assert under_way["published"], "a refresh that the change overtakes in the midst of its rollout"

    log(w, WORLD.flipped(), 9, 5)
    newest, verdict = turn(14)
    found = changes.change(w, Features.fetch(w.store, newest, tmp_path / "newest"), to_us(START) + 14 * HOUR)
    hours = (found.since - to_us(START)) / HOUR
    assert 8 <= hours <= 11
    assert found.better > changes.SURE
    assert verdict["kind"] == ("refresh" if on_change else "")
    assert verdict["promoted"] == ("lin_ts" if on_change else "")
    assert verdict["outcome"]["published"] == on_change, "in the place of the refresh that has not learnt the change"
    assert rollout_store.read_state(w.store).release == under_way["release"] + on_change
    assert ("the users changed on 2026-03-01 " in verdict["summary"]) == on_change
    key = w.store.list(f"features/{newest}/change-")
    assert len(list(key)) == 1, "the training looked for the change, and the verdict read what it found"
