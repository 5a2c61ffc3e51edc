"""A few bad rows stop nothing and are seen nowhere; many stop their hour, until a person decides, on the record."""

import io
import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from croupier.features import build, clock, scheduled
from croupier.features.encoding import catalogue
from croupier.features.interactions import hours, judged_hours, privacy, quarantine, quarantine_decisions, window
from croupier.features.interactions.account import Account
from croupier.features.interactions.join import matured
from croupier.features.interactions.parts import log_parts
from croupier.features.interactions.versions import empty, newest, read_interactions
from croupier.features.quality.rules import row_rules
from croupier.features.schema import Reward
from croupier.features.spec import AppSpec
from croupier.features.utc import HOUR, from_us, hour_name, to_us
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.serving.cli import app
from tests.page_words import words

START = to_us(datetime(2026, 11, 1, tzinfo=UTC))
H = hour_name(START)
ONE_HOUR = {"start": from_us(START), "end": from_us(START + HOUR)}
DUE = from_us(START + 3 * HOUR)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Makes an app with a log of one hour: n uniform decisions, of which the first `bad` have a reward of 7.0, as an older
    server took it."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_QUALITY_PAGES", "false")  # they take seconds
    monkeypatch.setenv("CROUPIER_CLOCK", f"{DUE.isoformat()}@1e-6@{time.time()}")  # it stands still

    def make(n, bad, toml=""):
        w, world = Workspace.open("shop"), World(seed=3)
        w.home.mkdir(parents=True)
        (w.home / "app.toml").write_text(world.app_toml(window_seconds=600) + "[training]\nmin_rows = 2\n" + toml)
        catalogue.write(w.home / "catalogue.json", world.arms())
        made, _ = world.log(n)
        made = [replace(d, at=START + i * (HOUR // n)) for i, d in enumerate(made)]
        rewards = [
            Reward(event_id=d.event_id, at=d.at + 1, kind="click", value=7.0 if i < bad else 1.0)
            for i, d in enumerate(made)
            if i < bad or i % 10 == 0
        ]
        rewards += [Reward(event_id=d.event_id, at=d.at + 1, kind="clikc", value=1.0) for d in made[-2:]]
        spool = w.spool()
        spool.append_decisions(made)
        spool.append_rewards(rewards)
        spool.close()
        return w, [d.event_id for d in made]

    return make


def a_build(refuses=False):
    """What the hourly DAG does; returns the key of the features it encoded."""
    build.collect("shop")
    validated = scheduled.validate("shop", None, scheduled.join("shop", None))
    if refuses:
        with pytest.raises(scheduled.QualityFailed, match=r"croupier quarantine list \| release \| drop"):
            scheduled.raise_refused(validated)
    else:
        scheduled.raise_refused(validated)
    return scheduled.encode("shop", None)["features"]


def account(w):
    return Account.from_dict(newest(w.store, **ONE_HOUR)[H].account).checked()


def trained_on(w):
    seen = window.window(w.store, w.spec, now=clock.now())
    with log_parts.learnt(w.store, w.spec, seen.hours.values()) as log:
        return pl.concat([empty(), *(part.drop("late_reward") for part in log.parts)])


def croupier(*arguments):
    done = CliRunner().invoke(app, [*arguments, "--app", "shop"], catch_exceptions=False)
    return done.exit_code, done.output


@pytest.mark.medium
def test_two_bad_rewards_of_an_old_log_keep_no_sound_row_back(shop):
    w, events = shop(1000, 2)
    assert a_build() != ""
    rows = trained_on(w)
    assert (len(rows), rows["reward"].max()) == (998, 1.0)
    assert set(rows["event_id"]) == set(events[2:])
    assert set(read_interactions(w.store, **ONE_HOUR)["event_id"]) == set(events[2:])
    assert set(matured(w.store, w.spec.reward, now=clock.now(), **ONE_HOUR)["event_id"]) == set(events[2:])
    assert (account(w).decisions_in, account(w).interactions, account(w).quarantined) == (1000, 998, 2)
    verdict = hours.verdict(w.store, H)
    assert (verdict["passed"], verdict["rows"], verdict["quarantined"], verdict["failed"]) == (True, 998, 2, [])
    page = words(w.store.get(f"reports/{verdict['page']}").decode())
    assert re.search(r"▲ quarantined\s*reward_in_range[^▲]*2 rows: " + events[0], page)
    assert "Data quality: passed" in page
    assert re.search(r"2 rows\s+quarantined", page)
    assert hours.due(w.store, w.spec, now=clock.now()) == []
    assert judged_hours.quality_of(w.store, {H: 2}, [H]) == judged_hours.HoursQuality()  # the gate may judge it


@pytest.mark.slow
def test_two_bad_rewards_among_26_806_rows_keep_26_804_sound_ones_from_nothing(shop):
    w, events = shop(26_806, 2)
    assert a_build() != ""
    assert set(trained_on(w)["event_id"]) == set(events[2:])
    assert (account(w).decisions_in, account(w).interactions, account(w).quarantined) == (26_806, 26_804, 2)
    verdict = hours.verdict(w.store, H)
    assert (verdict["passed"], verdict["rows"], verdict["quarantined"]) == (True, 26_804, 2)


@pytest.mark.medium
def test_too_many_stop_their_hour_until_they_are_dropped_on_the_record(shop):
    w, events = shop(400, 5)
    assert a_build(refuses=True) == ""
    assert len(trained_on(w)) == 0
    (entry,) = quarantine_decisions.entries(w.store)
    assert (entry.hour, entry.rows, entry.rules, entry.waits) == (H, {"stopped": 5}, {"reward_in_range": 5}, True)
    assert entry.examples == tuple(events[:3])
    assert account(w).quarantined == 0  # nothing was taken out
    page = words(w.store.get(f"reports/{hours.verdict(w.store, H)['page']}").decode())
    assert "Data quality: stopped" in page
    assert "[quality] quarantine allows 1.00% of an hour" in page
    assert a_build() == ""  # it waits, and no other build complains
    code, out = croupier("quarantine", "drop", "--hour", H, "--reason", "a broken sensor", "--by", "ann", "--json")
    assert (code, orjson.loads(out)) == (
        0,
        {"hour": H, "action": "dropped", "rows": 5, "by": "ann", "reason": "a broken sensor"},
    )
    assert hours.due(w.store, w.spec, now=clock.now()) == [H]
    assert a_build() != ""
    assert set(trained_on(w)["event_id"]) == set(events[5:])
    assert (account(w).interactions, account(w).quarantined) == (395, 5)
    stopped, dropped = quarantine.history(w.store, H)
    assert (stopped["action"], stopped["rows"], stopped["rules"]) == ("stopped", 5, {"reward_in_range": 5})
    assert {k: dropped[k] for k in ("by", "action", "rows", "before", "reason")} == {
        "by": "ann",
        "action": "dropped",
        "rows": 5,
        "before": {"stopped": 5},
        "reason": "a broken sensor",
    }
    assert dropped["verdict"]["failed"] == ["reward_in_range"]
    assert hours.verdict(w.store, H)["passed"] is True
    quarantine_decisions.release(w.store, H, by="ann", reason="it was not broken", now=1)  # one may change one's mind
    scheduled.join("shop", None)
    assert set(read_interactions(w.store, **ONE_HOUR)["event_id"]) == set(events)


@pytest.mark.medium
@pytest.mark.parametrize(("bad", "n", "widened", "found"), [(2, 400, False, 1.0), (5, 400, True, 7.0)])
def test_released_rows_come_in_as_a_restated_version_within_the_declared_range(shop, bad, n, widened, found):
    w, events = shop(n, bad)
    a_build(refuses=bad > 4)
    before = newest(w.store, **ONE_HOUR)[H].version
    if widened:
        toml = w.home / "app.toml"
        toml.write_text(toml.read_text().replace("range = [0.0, 1.0]", "range = [0.0, 10.0]"))
    code, out = croupier("quarantine", "release", "--hour", H, "--reason", "they are right", "--by", "bob")
    assert (code, f"{bad} rows released by bob" in out) == (0, True)
    assert a_build() != "" or bad == 2  # with two the first build trained already
    rows = trained_on(Workspace.open("shop"))
    assert len(rows) == n
    assert set(rows.filter(pl.col("event_id").is_in(events[:bad]))["reward"]) == {found}
    assert newest(w.store, **ONE_HOUR)[H].version == before + (not widened)  # else nothing changed: it was never out
    assert (account(w).interactions, account(w).quarantined) == (n, 0)
    assert hours.verdict(w.store, H)["passed"] is True
    assert hours.due(w.store, w.spec, now=clock.now()) == []


@pytest.mark.medium
def test_the_command_lists_and_refuses_by_name(shop):
    w, events = shop(400, 1)
    assert croupier("quarantine", "list") == (0, "nothing is in quarantine\n")
    a_build()
    code, out = croupier("quarantine", "list", "--json")
    (listed,) = orjson.loads(out)
    assert (code, listed["hour"], listed["rows"], listed["examples"]) == (0, H, {"held": 1}, [events[0]])
    assert H in croupier("quarantine", "list")[1]
    for arguments, why in (
        (
            ("--hour", "yesterday", "--reason", "x"),
            "--hour: found 'yesterday', expected an hour of UTC such as 2026-11-01T07",
        ),
        (
            ("--hour", "2026-11-01T07", "--reason", "x"),
            f"found no row of 2026-11-01T07 in quarantine, expected one of these hours: {H}",
        ),
        (("--hour", H, "--reason", " "), "--reason: found ' ', expected why"),
    ):
        code, out = croupier("quarantine", "drop", *arguments)
        assert code == 1
        assert why in out.replace("\n", " ")
    assert quarantine.rows(w.store, H)[0]["state"].to_list() == ["held"]


@pytest.mark.medium
def test_a_row_that_no_estimate_can_use_can_be_dropped_only(shop):
    w, events = shop(400, 0)
    build.collect("shop")
    spool = w.spool()
    spool.append_decisions([replace(d, event_id="odd", arm="nobody") for d in spool.find(events[:1]).values()])
    spool.close()
    a_build()
    assert "odd" not in set(trained_on(w)["event_id"])
    with pytest.raises(
        ValueError, match=r"quarantine of .*: found \{'arm_is_candidate': 1\}, expected rows that broke .*drop"
    ):
        quarantine_decisions.release(w.store, H, by="ann", reason="x", now=1)
    assert quarantine_decisions.drop(w.store, H, by="ann", reason="x", now=1) == 1
    assert {rule.name for rule in row_rules(w.spec.reward, 0, 1)} > quarantine_decisions.RELEASABLE


@pytest.mark.medium
def test_an_interval_by_hand_holds_and_stops_hour_by_hour(shop):
    """One hour has one bad row of 500, the next has 50 of 500: the first goes on, the interval stops for the second."""
    w, events = shop(500, 1)
    spool = w.spool()
    later = [replace(d, event_id=f"later-{i}", at=d.at + HOUR) for i, d in enumerate(spool.find(events).values())]
    spool.append_decisions(later)
    spool.append_rewards([Reward(event_id=d.event_id, at=d.at, kind="click", value=-3.0) for d in later[:50]])
    spool.close()
    asked = (from_us(START).isoformat(), from_us(START + 2 * HOUR).isoformat())
    build.collect("shop")
    validated = scheduled.validate("shop", asked, scheduled.join("shop", asked))
    with pytest.raises(
        scheduled.QualityFailed, match=r"reward_in_range .*: 50 rows, such as later-0.*Quarantined 51 of 1000"
    ):
        scheduled.or_raise(validated)
    second = hour_name(START + HOUR)
    states = {hour: set(of.values()) for hour, of in quarantine.states(w.store, [H, second]).items()}
    assert states == {H: {"held"}, second: {"stopped"}}
    quarantine_decisions.drop(w.store, second, by="ann", reason="a broken sensor", now=1)
    scheduled.or_raise(scheduled.validate("shop", asked, scheduled.join("shop", asked)))
    assert scheduled.encode("shop", asked)["rows"] == 949
    read = {hour: version.version for hour, version in newest(w.store, start=from_us(START), end=DUE).items()}
    found = judged_hours.quality_of(w.store, read, [H, second])
    assert found.unknown == ()
    assert [why.partition(" ")[0] for why in found.failed] == []


@pytest.mark.medium
def test_a_forgotten_unit_is_in_no_quarantine(shop):
    w, events = shop(400, 1)
    a_build()
    spool = w.spool()
    unit = spool.find(events[:1])[events[0]].unit_id
    privacy.forget(w.store, spool, w.spec.reward, unit_id=unit, host="h", now=clock.now(), reports=w.with_rows)
    spool.close()
    assert quarantine_decisions.entries(w.store) == []
    kept = [key for key in w.store.list("quarantine/") if key.endswith(".parquet")]
    assert len(kept) == 2
    assert [len(pl.read_parquet(io.BytesIO(w.store.get(key)))) for key in kept] == [0, 0]
    assert all(events[0].encode() not in w.store.get(key) for key in w.store.list("quality/"))
    assert account(w).quarantined == 0


def test_the_share_of_an_hour_counts_what_is_held_already():
    at = pl.Series([START + i for i in range(99)])
    rows, one = quarantine.rows_by_hour([at[:50], at[50:]]), at[:1]
    assert rows == {START: 99}
    assert quarantine.stopped_hours(rows, one, {}, 0.02) == set()
    assert quarantine.stopped_hours(rows, one, {H: 1}, 0.02) == set()
    assert quarantine.stopped_hours(rows, one, {H: 2}, 0.02) == {START}
    assert quarantine.stopped_hours(rows, one, {}, 0.0) == {START}


def test_by_default_an_hour_may_have_one_row_in_a_hundred():
    assert AppSpec().quality.quarantine == 0.01
