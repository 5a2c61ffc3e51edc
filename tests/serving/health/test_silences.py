"""A silence: kept in the store, honoured by whoever judges, over by itself."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from croupier.features import clock
from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.features.utc import HOUR
from croupier.features.workspace import Workspace
from croupier.models.health.diagnosis import Diagnosis, without
from croupier.models.health.symptom import WATCHES, Symptom
from croupier.serving.cli import app as cli
from croupier.serving.health import silences, told
from croupier.serving.health.examine import Examined
from croupier.serving.health.silences import Silence

NOON = 1_790_000_000_000_000


def silence(watch="reward", since=NOON, hours=4.0, **more):
    return Silence(watch=watch, since=since, until=since + int(hours * HOUR), by="ann", **more)


def symptom(watch, level, cause, nats=30.0):
    return Symptom(
        watch=watch,
        about="all",
        level=level,
        cause=cause,
        number=0.5,
        threshold=0.05,
        since=NOON - HOUR,
        says=f"{cause} is said",
        remedy=f"mend {cause}",
        nats=nats,
        needed=20.0,
    )


LOST = symptom("reward", "act", "rewards_lost")
LATE = symptom("delay", "watch", "reward_delay", nats=None)
SICK = Diagnosis(
    level="act",
    cause="rewards_lost",
    says=LOST.says,
    remedy=LOST.remedy,
    at=NOON,
    symptoms=(LOST, LATE),
    lift=None,
    signals=9,
    needed=20.0,
    known=500,
    weekly=True,
)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


def test_it_holds_from_its_beginning_until_its_end(store):
    silences.begin(store, silence(hours=4))
    last = NOON + 4 * HOUR
    held = [set(silences.in_force(store, at)) for at in (NOON - 1, NOON, last - 1, last)]
    assert held == [set(), {"reward"}, {"reward"}, set()]


def test_of_two_about_one_watch_the_last_counts(store):
    silences.begin(store, silence(hours=4))
    silences.begin(store, silence(hours=1, why="shorter"))
    silences.begin(store, silence("clock", hours=2))
    assert silences.in_force(store, NOON + 2 * HOUR) == {}
    assert silences.in_force(store, NOON)["reward"].why == "shorter"
    assert [s.watch for s in silences.every(store)] == ["reward", "reward", "clock"]


def test_it_can_be_ended_once(store):
    silences.begin(store, silence(hours=4))
    ended = silences.end(store, "reward", now=NOON + HOUR)
    assert (ended.until, silences.in_force(store, NOON + HOUR)) == (NOON + HOUR, {})
    with pytest.raises(ValueError, match="found none of 'reward' in force, expected one of those that are: none"):
        silences.end(store, "reward", now=NOON + HOUR)


def test_none_is_lost_when_another_hand_writes_meanwhile(store):
    swap, other = store.swap, silence("clock")

    def beaten(key, data, version):
        store.swap = swap
        silences.begin(store, other)
        swap(key, data, version)

    store.swap = beaten
    silences.begin(store, silence())
    assert [s.watch for s in silences.every(store)] == ["clock", "reward"]


def test_what_is_no_silence_is_named(store):
    with pytest.raises(ValueError, match="watch: found 'sales', expected one of reward, feature"):
        silence("sales")
    store.put(layout.SILENCES, b"[{}]")
    with pytest.raises(
        ValueError, match=r"silences/health.json: found b'\[{}\]', expected what `health silence` wrote"
    ):
        silences.in_force(store, NOON)


def test_a_diagnosis_without_a_watch_is_that_of_the_others():
    left = without(SICK, {"reward"})
    assert (left.level, left.cause, left.symptoms) == ("watch", "reward_delay", (LATE,))
    assert without(SICK, {"reward", "delay"}).level == "fine"
    assert without(SICK, {"reward", "delay"}).says == "nothing is out of the ordinary"
    assert without(SICK, {"clock"}) is SICK


def test_it_is_shown_with_who_until_when_and_why_and_does_not_count():
    held = {"reward": silence(why="the feed is being moved"), "clock": silence("clock")}
    found = Examined("shop", None, without(SICK, held), (LOST,), held)
    said = told.lines(found)
    assert told.exit_code(found) == 1
    assert said[0].endswith("one thing to watch: reward_delay is said; silenced: reward")
    until = "2026-09-21 18:13 UTC"
    assert (
        f"reward is silenced until {until} by ann (the feed is being moved): act since 2026-09-21 13:13 UTC: rewards_lost is said"
        in said
    )
    assert f"clock is silenced until {until} by ann: it has found nothing" in said
    row = told.as_json(found)
    assert (row["level"], [s["cause"] for s in row["silenced"]]) == ("watch", ["rewards_lost"])
    assert [s["cause"] for s in row["symptoms"]] == ["reward_delay"]


def croupier(*words):
    done = CliRunner().invoke(cli, ["health", "silence", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_begins_lists_and_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    for app in ("shop", "news"):
        (tmp_path / app).mkdir()
        (tmp_path / app / "app.toml").write_text("[reward.kinds.click]\n")
    with clock.at(NOON):
        code, out, _ = croupier(
            "--app", "shop", "--watch", "reward", "--for", "4h", "--why", "moved", "--by", "ann", "--json"
        )
        assert (code, json.loads(out)) == (0, [silence(why="moved").to_dict()])
    with clock.at(NOON + 4 * HOUR - 1):
        said = "reward is silenced until 2026-09-21 18:13 UTC by ann (moved)\n"
        assert croupier("--app", "shop", "--list")[:2] == (0, said)
        before = CliRunner().invoke(cli, ["health", "--app", "shop", "silence", "--list"])
        assert before.stdout == said, "the app may be named before the verb"
        assert croupier("--app", "news", "--list")[:2] == (0, "news: nothing is silenced\n")
        whole = CliRunner().invoke(cli, ["health", "--app", "shop"])
        assert said[:-1] in whole.stdout
    with clock.at(NOON + 4 * HOUR):
        assert croupier("--app", "shop", "--list")[:2] == (0, "shop: nothing is silenced\n")
        assert croupier("--app", "shop", "--watch", "reward", "--end")[0] == 1
    assert set(silences.in_force(Workspace.open("shop").store, NOON)) == {"reward"}


@pytest.mark.parametrize(("words", "said"), [
    ([], "found no --watch, expected --list alone, or --watch with one of reward"),
    (["--list", "--watch", "reward"], "found --list beside others"),
    (["--watch", "reward"], "expected --for with a duration, such as 4h, or --end"),
    (["--watch", "reward", "--for", "4h", "--end"], "and not both"),
    (["--watch", "reward", "--for", "4"], "--for: found '4', expected a number and one of s, m, h, d"),
    (["--watch", "rewards", "--for", "4h"], "watch: found 'rewards', expected one of"),
])  # fmt: skip
def test_a_wrong_call_is_one_sentence(tmp_path, monkeypatch, words, said):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "app.toml").write_text("[reward.kinds.click]\n")
    code, out, error = croupier("--app", "shop", *words)
    assert (code, out, said in error) == (1, "", True), error


def test_every_watch_can_be_silenced():
    """Whatever name a signal or a symptom is made with is one of WATCHES."""
    folder = Path(__file__).resolve().parents[3] / "models" / "health" / "watches"
    named = {name for path in folder.glob("*.py") for name in re.findall(r'watch="(\w+)"', path.read_text())}
    assert named == set(WATCHES)
