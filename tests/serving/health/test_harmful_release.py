"""The demo's act three on its health page: a candidate that learnt from a flipped feature, with the cause in the first
line, also in an app that is too young to be judged."""

import json
import shutil
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from croupier.dags.demo import __main__ as demo
from croupier.dags.demo import story
from croupier.features import build, clock, scheduled
from croupier.features.spec import RolloutSpec
from croupier.features.store import layout
from croupier.features.utc import DAY, HOUR, to_us
from croupier.features.workspace import Workspace
from croupier.features.worlds import reels
from croupier.serving.cli import app as cli
from croupier.serving.health.examine import Unwell, keep, or_raise
from croupier.serving.release import rollout_state, rollout_store
from croupier.serving.release.stage_rule import RolloutEvidence, next_stage

pytestmark = pytest.mark.medium
START = to_us(datetime(2026, 3, 1, tzinfo=UTC))
NOW = START + 3 * HOUR
WORLD = reels.World()


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """A var with the demo's app `reels` and an hour of uniform selections, joined."""
    var = tmp_path_factory.mktemp("joined") / "var"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(var))
        w = Workspace.open("reels")
        demo._declare(w, WORLD.app_toml(window_seconds=300) + demo.REELS, WORLD.arms())
        spool, (decisions, rewards) = w.spool(), WORLD.log(3000, start=START)
        spool.append_decisions(decisions)
        spool.append_rewards(rewards)
        spool.close()
        with clock.at(NOW):
            build.collect("reels")
            scheduled.join("reels", None)
    return var


@pytest.fixture
def w(joined, tmp_path, monkeypatch):
    shutil.copytree(joined, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    return Workspace.open("reels")


def taken_back(w, candidate, at):
    """The rollout's own rule, on evidence of harm."""
    numbers = {"candidate_mean": candidate, "champion_mean": 0.24}
    harmful = RolloutEvidence(harms=("reward",), numbers=numbers)
    rollout_store.begin(w.store, rollout_state.start(3, now=at - HOUR))
    rollout_store.change(w.store, lambda state: next_stage(state, harmful, RolloutSpec(), now=at))


def health(now=NOW):
    with clock.at(now):
        done = CliRunner().invoke(cli, ["health", "--app", "reels"])
    return done.exit_code, done.stdout.splitlines()


def test_the_demos_page_has_the_flipped_feature_in_its_first_line(w, tmp_path, capsys):
    taken_back(w, 0.05, NOW - HOUR)
    with clock.at(NOW):
        landed = demo.landed(tmp_path)
    story._health(landed)
    first = "reels needs you: the candidate of release 3 did harm and was taken back (harm shown: reward)"
    said = " ".join(capsys.readouterr().out.split())
    assert first in said
    assert "it earned 0.05 a decision, the champion 0.24, choosing at random 0.1" in said
    assert "a feature that was flipped or swapped before its training" in said
    assert landed["summary"] == "1 app: 1 needs you"
    page = w.store.get(layout.report(layout.HEALTH_PAGE)).decode()
    assert page.index(first) < page.index("What is out of the ordinary")
    assert '<span class="bad">needs you</span>' in page
    assert first in (tmp_path / layout.OVERVIEW).read_text()
    with clock.at(NOW), pytest.raises(Unwell, match="did harm and was taken back"):
        or_raise(keep("reels"))


def test_a_candidate_that_is_better_than_chance_is_not_called_upside_down(w):
    taken_back(w, 0.2, NOW - HOUR)
    code, lines = health()
    assert code == 2
    assert "it earned 0.2 a decision, the champion 0.24" in lines[0]
    assert "upside down" not in lines[0]
    assert lines[1].startswith("what to do: look at what it was trained on")


def test_it_is_past_after_a_while_or_with_another_release_or_when_silenced(w):
    assert health()[1][0].startswith("reels is too young to be judged")
    taken_back(w, 0.05, NOW - 2 * DAY)
    code, lines = health()
    assert (code, lines[0][:31]) == (0, "reels is too young to be judged")
    assert lines[1].startswith("watch ")
    rollout_store.begin(w.store, rollout_state.start(4, now=NOW))
    assert len(health()[1]) == 1
    rollout_store.change(w.store, lambda state: rollout_state.abort(state, "inconclusive", now=NOW, by="x"))
    assert len(health()[1]) == 1, "no harm was shown"


def test_silenced_it_is_shown_and_does_not_count(w):
    taken_back(w, 0.05, NOW - HOUR)
    with clock.at(NOW):
        words = ["health", "silence", "--app", "reels", "--watch", "rollout", "--for", "1h"]
        assert CliRunner().invoke(cli, words).exit_code == 0
        done = CliRunner().invoke(cli, ["health", "--app", "reels", "--json"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["level"]) == (0, "fine")
    assert found["sentence"] == "reels is too young to be judged: 1 hours are known, 96 are needed; silenced: rollout"
    assert [s["cause"] for s in found["silenced"]] == ["harmful_candidate"]
