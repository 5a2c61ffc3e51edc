"""A change of the users is looked for once a training, and renews a champion that has not learnt it."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from croupier.features import build, clock, scheduled
from croupier.features.build import Features
from croupier.features.encoding import catalogue
from croupier.features.utc import HOUR, to_us
from croupier.features.workspace import Workspace, get_folder
from croupier.features.worlds.reels import World
from croupier.models import changes, training
from croupier.models.adaptive_window import Choice
from croupier.models.policy import load
from croupier.serving.operate import verdict_release
from croupier.serving.release import rollout_store

WORLD = World(seed=5)
START = datetime(2026, 3, 1, tzinfo=UTC)
APP = """
[training]
every = "1h"
min_rows = 100
[policies]
candidates = ["lin_ts"]
"""


@pytest.mark.parametrize(("since", "until", "end", "stale"), [
    (0, 5, 100, False), (50, 40, 100, True), (50, 60, 100, True), (50, 80, 100, False), (50, 100, 100, False),
])  # fmt: skip
def test_a_policy_misses_a_change_of_which_it_learnt_less_than_half(since, until, end, stale):
    assert changes.missed(Choice(since=since, better=9.0 * bool(since)), until, end) == stale


def log(w, world, hour: int, hours: int) -> None:
    """1,800 decisions an hour, from `hour` hours after the start on."""
    at = to_us(START + timedelta(hours=hour))
    made, rewards = world.log(1800 * hours, seed=hour, start=at, gap=2_000_000)
    spool = w.spool()
    spool.append_decisions(made)
    spool.append_rewards(rewards)
    spool.close()


def turn(hour: int) -> tuple[str, dict]:
    """What build_features and train_and_gate do at `hour`, and what was published."""
    with clock.at(to_us(START) + hour * HOUR + HOUR // 2):
        build.collect("shop")
        scheduled.validate("shop", None, scheduled.join("shop", None))
        key = scheduled.encode("shop", None)["features"]
        (verdict,) = training.judge([training.train(**job) for job in training.plan([("shop", key)])])
        return key, verdict | {"outcome": verdict_release.publish_verdict(verdict)}


def released(w, key: str, tmp_path) -> None:
    """What was trained on features `key` serves."""
    found = Features.fetch(w.store, key, tmp_path / "features")
    verdict_release.release_policies(
        w,
        champion=load(get_folder(w.store, f"candidates/{key}/lin_ts", tmp_path / "lin_ts")),
        candidate=None,
        encoder=found.encoder,
        arms=w.arms(),
        meta={"features": key, "declared": found.meta["declared"]},
    )


def declare(w, *, on_change: bool) -> None:
    """Writes app.toml."""
    text = WORLD.app_toml(window_seconds=60)
    refresh = f"[refresh]\non_change = {str(on_change).lower()}\n"
    (w.home / "app.toml").write_text(text[: text.index("[policies]")] + APP + refresh)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """(var, release): a shop whose champion has learnt its users, and whose refresh is on its way, as they change."""
    folder = tmp_path_factory.mktemp("before")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(folder / "var"))
        patch.setenv("CROUPIER_QUALITY_PAGES", "false")
        w = Workspace.open("shop")
        w.home.mkdir(parents=True)
        declare(w, on_change=True)
        catalogue.write(w.home / "catalogue.json", WORLD.arms())
        w = Workspace.open("shop")
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
    return folder / "var", under_way["release"]


@pytest.mark.slow
@pytest.mark.parametrize("on_change", [True, False])
def test_a_champion_of_other_users_is_renewed_and_the_rollout_judges(before, on_change, tmp_path, monkeypatch):
    var, release = before
    shutil.copytree(var, tmp_path / "var")
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("CROUPIER_QUALITY_PAGES", "false")
    declare(Workspace.open("shop"), on_change=on_change)
    w = Workspace.open("shop")
    newest, verdict = turn(14)
    found = changes.change(w, Features.fetch(w.store, newest, tmp_path / "newest"), to_us(START) + 14 * HOUR)
    hours = (found.since - to_us(START)) / HOUR
    assert 8 <= hours <= 11
    assert found.better > changes.SURE
    assert verdict["kind"] == ("refresh" if on_change else "")
    assert verdict["promoted"] == ("lin_ts" if on_change else "")
    assert verdict["outcome"]["published"] == on_change, "in the place of the refresh that has not learnt the change"
    assert rollout_store.read_state(w.store).release == release + on_change
    assert ("the users changed on 2026-03-01 " in verdict["summary"]) == on_change
    key = w.store.list(f"features/{newest}/change-")
    assert len(list(key)) == 1, "the training looked for the change, and the verdict read what it found"
