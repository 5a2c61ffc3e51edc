"""`croupier health` on a store as builds leave it: the sentence, the exit code, JSON, and the page."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.features import clock
from croupier.features.store import layout
from croupier.features.utc import HOUR
from croupier.features.workspace import Workspace
from croupier.features.worlds.hours import Trouble
from croupier.features.worlds.reels_hours import ReelsHours
from croupier.models.health.diagnosis import diagnose
from croupier.models.health.history import History
from croupier.models.health.lift import ChampionLift
from croupier.serving.cli import app as cli
from croupier.serving.health import silences, told
from croupier.serving.health.examine import Examined, Unwell, keep, last_said, or_raise
from croupier.serving.health.rows import alike
from tests import reels_store
from tests.models.health.plain_hours import hour, hours
from tests.page_words import unscripted

pytestmark = pytest.mark.medium
APP = ReelsHours(per_day=700, seed=4)
SOUND = 24 * 15 + 12


def croupier(*words):
    done = CliRunner().invoke(cli, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    var = tmp_path_factory.mktemp("var")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(var))
        w = reels_store.declare(APP)
        reels_store.joined(w, APP, range(SOUND))
        yield w


@pytest.fixture(scope="module")
def skewed(shop):
    """The clock of one host, in the three hours after the sound ones."""
    reels_store.joined(shop, APP, range(SOUND, SOUND + 3), Trouble(skewed=("host-b", 600.0)))
    return shop


def at(hours):
    return clock.at(APP.start + hours * HOUR + HOUR)  # an hour later: their window has passed


def test_a_sound_app_is_well(shop, tmp_path):
    with at(SOUND):
        code, said = croupier("health", "--app", "shop", "--html", str(tmp_path / "page.html"))
    first = said.splitlines()[0]
    assert re.match(r"shop is well: \+\d+ % \[\d+, \d+\] over uniform this week", first), said
    assert code == (1 if " to watch" in first else 0)
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in unscripted(page)
    assert not re.search(r"(src|href)=.?https?:", page)
    assert page.count("<svg") == 4 == len(re.findall(r'aria-label="[^"]*, last [\d.]+', page))
    assert '<html lang="en">' in page
    assert len(page) < 500_000
    assert "judged up to" in said
    with at(SOUND):
        _, raw = croupier("health", "--app", "shop", "--json")
    parts = {(part["group"], part["key"]): part for part in json.loads(raw)["parts"]}
    champion, release = parts["role", "champion"], parts["release", "3"]
    assert champion["decisions"] == release["decisions"] == parts["all", ""]["decisions"] > 600
    assert (champion["judged"], champion["fallbacks"]) == ("acted on", 0.0), "it makes all decisions"
    assert f'>role champion</th><td>acted on</td><td></td><td class="n">{champion["decisions"]}</td>' in page


def test_no_hour_yet_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    reels_store.declare(APP)
    code, said = croupier("health", "--app", "shop")
    assert (code, said.startswith("shop: no hour that has ended is joined yet")) == (0, True)
    code, said = croupier("health", "--app", "shop", "--json")
    assert json.loads(said)["level"] == "fine"


def test_a_fault_is_named_with_what_to_do(skewed):
    with at(SOUND + 3):
        code, said = croupier("health", "--app", "shop", "--json")
        kept = keep("shop")
    found = json.loads(said)
    assert (code, found["level"], found["cause"]) == (2, "act", "clock_skew")
    assert found["sentence"].startswith("shop needs you: the clock of host-b is 600 s ahead")
    assert found["symptoms"][0]["since"] == APP.start + SOUND * HOUR
    assert kept["sentence"] == found["sentence"] == last_said(skewed)["sentence"]
    with pytest.raises(Unwell, match="the clock of host-b"):
        or_raise(kept)
    or_raise(kept | {"level": "watch"})
    store = Workspace.open("shop").store
    page = store.get(layout.report(layout.HEALTH_PAGE)).decode()
    assert "the clock of host-b is 600 s ahead" in page
    assert "What to do:" in page
    assert json.loads(store.get(layout.report(layout.HEALTH_SAID)))["level"] == "act"


def test_hours_whose_window_is_open_are_not_judged(shop):
    with clock.at(APP.start + SOUND * HOUR + HOUR // 2):
        _, said = croupier("health", "--app", "shop", "--json")
    assert json.loads(said)["at"] == APP.start + (SOUND - 2) * HOUR


def test_a_silenced_watch_is_shown_and_counts_neither_here_nor_in_the_monitor(skewed):
    """What the DAG `monitor` keeps, and whether its alarm is raised."""
    with at(SOUND + 3):
        now = clock.now_us()
        silences.begin(
            skewed.store, silences.Silence(watch="clock", since=now, until=now + HOUR, by="ann", why="chrony")
        )
        code, said = croupier("health", "--app", "shop")
        kept = keep("shop")
    assert code < 2
    assert "silenced: clock" in said.splitlines()[0]
    assert re.search(
        r"clock is silenced until .* UTC by ann \(chrony\): act since .*: the clock of host-b is 600 s", said
    )
    assert kept["level"] != "act"
    assert [s["cause"] for s in kept["silenced"]] == ["clock_skew"]
    or_raise(kept)
    page = skewed.store.get(layout.report(layout.HEALTH_PAGE)).decode()
    assert "clock is silenced until" in page
    with clock.at(now + HOUR):
        code, _ = croupier("health", "--app", "shop")
        assert code == 2, "it has ended by itself"
        with pytest.raises(Unwell, match="the clock of host-b"):
            or_raise(keep("shop"))


def test_no_lift_has_a_negative_zero():
    found = ChampionLift(value=0.0002, low=-0.003, high=0.004, served=0.1, uniform=0.1, hours=24)
    assert told.lift_text(found) == "+0 % [0, 0]"
    assert told.lift_text(replace(found, value=-0.012, low=-0.02)) == "-1 % [-2, 0]"


def test_what_several_watches_say_alike_is_one_line():
    """Rewards of one arm are gone: the watches of everything and of segments tell it, too."""
    rng = np.random.default_rng(3)
    late = [hour(22 * 24 + k, rng, arm_rates=[("b", 0.0)]) for k in range(24)]
    d = diagnose(History.of([*hours(22, 7), *late]))
    grouped = alike(d.symptoms)
    assert sum(map(len, grouped)) == len(d.symptoms) > len(grouped)
    assert all(len({(s.cause, s.says.partition(":")[0]) for s in each}) == 1 for each in grouped)
    said = "\n".join(told.lines(Examined("shop", None, d)))
    broken = [each for each in grouped if each[0].cause == "reward_feed_arm"]
    assert said.count("rewards of arm b are not logged any more") == 1 + len(broken), "the sentence, and a line each"
    assert grouped[0][0] is d.symptoms[0]
    first, second, *_ = next(each for each in grouped if len(each) > 1)
    assert f"  {first.about} (also in {second.about}" in said
