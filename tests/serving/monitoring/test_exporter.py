"""What the exporter says of a real app: values by hand, an app that is broken, a store that hangs, HTTP."""

import json
import logging
import threading
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from croupier import Embedded
from croupier.features import build, clock
from croupier.features.interactions import hours
from croupier.features.interactions.hours import Checked
from croupier.features.interactions.versions import newest
from croupier.features.log.ship import ship
from croupier.features.store import layout, released
from croupier.features.utc import HOUR, MINUTE, SECOND, from_us
from croupier.features.workspace import Workspace
from croupier.serving.cli import app as cli
from croupier.serving.health import silences
from croupier.serving.health.silences import Silence
from croupier.serving.monitoring import reading
from croupier.serving.monitoring.exporter import AppsCollector, address, serve
from croupier.serving.monitoring.metrics import EXPORTED
from croupier.serving.monitoring.reading import AppReader, ReadPart
from croupier.serving.readings.sample import Sample
from croupier.serving.release import rollout_store

TOML = "[reward]\nwindow_seconds = 60.0\nrange = [0, 1]\n[reward.kinds.click]\n"
NOON = 1_790_000_000_000_000 // HOUR * HOUR


@pytest.fixture
def var(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_HOST", "h1")
    monkeypatch.setenv("CROUPIER_DURABILITY", "NORMAL")
    return tmp_path


def make(var, name, decisions=100, rewarded=4):
    """An app made at NOON, with as many decisions, of which every fourth is rewarded at once."""
    with clock.at(NOON), Embedded.declared(name, toml=TOML, arms={"red": {}, "blue": {}}, var=var) as shop:
        for i in range(decisions):
            event = shop.select(unit_id=f"u{i}", event_id=f"{name}-{i}").event_id
            if i % rewarded == 0:
                shop.reward(event_id=event, kind="click", value=1.0, at=NOON)
    return Workspace.open(name)


def read(*apps, at=NOON, readers=None):
    """{(name, app, other labels…): value} of one scrape."""
    found = {}
    readers = readers or [AppReader(app) for app in apps]
    with clock.at(at):
        for family in AppsCollector(readers).collect():
            for s in family.samples:
                labels = {k: v for k, v in s.labels.items() if k not in ("app", "host")}
                assert (s.labels.get("host", "h1"), set(s.labels)) == ("h1", set(EXPORTED[s.name].labels))
                found[s.name.removeprefix("croupier_"), s.labels["app"], *labels.values()] = s.value
    return found


def test_a_new_app_says_what_is_known_and_nothing_else(var):
    make(var, "shop")
    found = read("shop", at=NOON + 30 * MINUTE)
    assert {name for name, *_ in found} == {
        "up", "read_seconds", "health_silenced", "release_number", "release_age_seconds", "rollout_stage", "rollout_share",
        "rollout_running", "rollout_held", "breaker_open", "log_bytes", "log_fill_ratio", "log_unshipped_rows",
        "log_unshipped_age_seconds", "log_newest_age_seconds", "log_expected_rewards", "hours_due", "hour_lag_seconds",
        "quality_failed_hours", "disk_free_bytes", "disk_size_bytes",
    }  # fmt: skip
    expected = {
        "up": 1, "release_number": 1, "release_age_seconds": 1800, "rollout_share": 0, "rollout_running": 1, "rollout_held": 0,
        "breaker_open": 0, "log_unshipped_rows": 125, "log_unshipped_age_seconds": 1800, "log_newest_age_seconds": 1800,
        "hours_due": 0, "hour_lag_seconds": 0, "quality_failed_hours": 0,
    }  # fmt: skip
    assert {name: found[name, "shop"] for name in expected} == expected
    assert found["rollout_stage", "shop", "none"] == 1
    # the last three decisions came after the last reward, of a quarter (25 of 97) that are rewarded
    assert found["log_expected_rewards", "shop"] == pytest.approx(3 * 25 / 97)
    assert 0 < found["log_fill_ratio", "shop"] == found["log_bytes", "shop"] / (8 << 30)
    assert 0 < found["disk_free_bytes", "shop"] < found["disk_size_bytes", "shop"]


def test_what_was_shipped_joined_and_refused_is_told(var):
    w = make(var, "shop")
    spool = w.spool()
    ship(spool, w.store, host="h1")
    spool.close()
    due = NOON + HOUR + 60 * SECOND  # the hour is over, and the window of its last decision
    found = read("shop", at=due + 5 * MINUTE)
    shipped = (
        "log_unshipped_rows",
        "log_unshipped_age_seconds",
        "log_shipped_age_seconds",
        "hours_due",
        "hour_lag_seconds",
    )
    assert [found[name, "shop"] for name in shipped] == [0, 0, 3960, 1, 300]
    with clock.at(due):
        start, end = from_us(NOON), from_us(NOON + HOUR)
        build.join("shop", start.isoformat(), end.isoformat())
        (version,) = newest(w.store, start=start, end=end).values()
        hours.record(w.store, version, Checked(passed=False, rows=100, failed=("a rule",)))
    found = read("shop", at=due + 5 * MINUTE)
    assert [found[name, "shop"] for name in ("hours_due", "hour_lag_seconds", "quality_failed_hours")] == [0, 0, 1]
    assert read("shop", at=due + 8 * 24 * HOUR)["quality_failed_hours", "shop"] == 0, "a week later"


def test_looks_training_windows_and_heads_have_ages(var):
    w = make(var, "shop", decisions=4)
    rollout_store.note_watched(w.store, NOON + MINUTE)
    manifest = released.manifest(w.store, 1)
    manifest["meta"]["features"] = "k1"
    w.store.put(layout.release(1, layout.MANIFEST), json.dumps(manifest).encode())
    w.store.put(layout.features("k1", layout.META), json.dumps({"end": from_us(NOON - HOUR).isoformat()}).encode())
    head = layout.head(w.home / layout.HEADS, 1, "champion")
    head.parent.mkdir(exist_ok=True)
    head.touch()
    found = read("shop", at=NOON + 2 * MINUTE)
    assert found["rollout_look_age_seconds", "shop"] == 60
    assert found["features_age_seconds", "shop"] == 3720
    assert 0 <= found["posterior_age_seconds", "shop", "champion"] < 3600


SAID = {
    "app": "shop", "level": "act", "at": NOON - 2 * HOUR, "lift": {"value": 0.18, "low": 0.12, "high": 0.24},
    "symptoms": [{"watch": "reward", "level": "act"}, {"watch": "reward", "level": "watch"}, {"watch": "unit", "level": "watch"}],
}  # fmt: skip


def test_health_is_told_by_watch_and_silences_count_at_once(var):
    w = make(var, "shop", decisions=1)
    w.store.put(layout.report(layout.HEALTH_SAID), json.dumps(SAID).encode())
    found = read("shop")
    watches = ("reward", "feature", "unit", "delay", "exploration", "coverage", "clock")
    assert [found["health_watch", "shop", name] for name in watches] == [2, 0, 1, 0, 0, 0, 0]
    assert (found["health_verdict", "shop"], found["health_age_seconds", "shop"]) == (2, 3600)
    assert [found["lift_over_uniform", "shop", bound] for bound in ("low", "estimate", "high")] == [0.12, 0.18, 0.24]
    silences.begin(w.store, Silence(watch="reward", since=NOON, until=NOON + HOUR, by="ann"))
    found = read("shop")
    assert (found["health_verdict", "shop"], found["health_watch", "shop", "reward"]) == (1, 2)
    assert [found["health_silenced", "shop", name] for name in watches] == [1, 0, 0, 0, 0, 0, 0]
    found = read("shop", at=NOON + HOUR)
    assert (found["health_verdict", "shop"], found["health_silenced", "shop", "reward"]) == (2, 0), "it is over"


def test_health_that_is_not_judged_any_more_falls_behind(var):
    w = make(var, "shop")
    spool = w.spool()
    ship(spool, w.store, host="h1")
    spool.close()
    due = NOON + HOUR + 60 * SECOND
    with clock.at(due):
        build.join("shop", from_us(NOON).isoformat(), from_us(NOON + HOUR).isoformat())
    assert read("shop", at=due)["health_lag_seconds", "shop"] == 3600, "never judged"
    w.store.put(layout.report(layout.HEALTH_SAID), json.dumps(SAID).encode())
    assert read("shop", at=due)["health_lag_seconds", "shop"] == 7200, "the last it judged ended an hour before NOON"
    w.store.put(layout.report(layout.HEALTH_SAID), json.dumps(SAID | {"at": NOON}).encode())
    assert read("shop", at=due + 9 * HOUR)["health_lag_seconds", "shop"] == 0


def test_what_was_kept_with_a_silence_counts_once_it_is_over(var):
    w = make(var, "shop", decisions=1)
    kept = SAID | {"symptoms": [], "silenced": SAID["symptoms"]}
    w.store.put(layout.report(layout.HEALTH_SAID), json.dumps(kept).encode())
    assert read("shop")["health_verdict", "shop"] == 2


def test_a_broken_app_is_told_and_keeps_nothing_else_back(var, caplog):
    make(var, "shop", decisions=1)
    make(var, "sick", decisions=1)
    (var / "sick" / "app.toml").write_text("[reward]\nwindow_seconds = -1")
    with caplog.at_level(logging.ERROR):
        found = read("shop", "sick")
    assert (found["up", "shop"], found["up", "sick"]) == (1, 0)
    failures = {key[2:]: n for key, n in found.items() if key[0] == "read_failures_total"}
    assert failures == {(part, "SpecError"): 1 for part in ("log", "joined", "judged")}
    assert found["release_number", "sick"] == 1, "what can be read is told"
    assert "sick: log was not read: SpecError" in caplog.text
    assert "window_seconds" in caplog.text


def test_an_app_whose_folder_is_gone_is_down_and_comes_back(var):
    make(var, "shop", decisions=1)
    readers = [AppReader("shop")]
    (var / "shop").rename(var / "moved")
    gone = read(readers=readers)
    assert (gone["up", "shop"], gone["read_failures_total", "shop", "app", "ValueError"]) == (0, 1)
    (var / "moved").rename(var / "shop")
    back = read(readers=readers)
    assert (back["up", "shop"], back["read_failures_total", "shop", "app", "ValueError"]) == (1, 1)


def test_an_app_that_hangs_gives_its_last_figures_and_is_not_well(var, monkeypatch):
    make(var, "shop", decisions=1)
    make(var, "slow", decisions=1)
    readers, gate, hangs = [AppReader("shop"), AppReader("slow", patience=0.2)], threading.Event(), threading.Event()

    def maybe(w, now):
        if w.settings.app == "slow" and hangs.is_set():
            gate.wait(60)
        yield Sample("croupier_rollout_share", 0.5)

    monkeypatch.setattr(reading, "PARTS", {"rollout": ReadPart(maybe)})
    readers[1].patience = 60
    assert read(readers=readers)["up", "slow"] == 1
    readers[1].patience = 0.2
    hangs.set()
    for late in (1, 2):
        found = read(readers=readers)
        assert (found["up", "shop"], found["up", "slow"], found["rollout_share", "slow"]) == (1, 0, 0.5)
        assert found["read_failures_total", "slow", "late", "TimeoutError"] == late
    gate.set()
    readers[1].patience = 60
    read(readers=readers)
    assert read(readers=readers)["up", "slow"] == 1
    for each in readers:
        each.close()


def test_what_lists_the_store_is_read_once_in_a_minute(var, monkeypatch):
    make(var, "shop", decisions=1)
    times, now = [], [0.0]

    def counted(w, at):
        times.append(now[0])
        yield Sample("croupier_hours_due", 1.0)

    monkeypatch.setattr(reading, "PARTS", {"joined": ReadPart(counted, 60.0)})
    readers = [AppReader("shop", timer=lambda: now[0])]
    for now[0] in (0.0, 59.0, 60.0, 61.0):
        assert read(readers=readers)["hours_due", "shop"] == 1
    assert times == [0.0, 60.0]


def test_a_sample_that_the_table_does_not_have_is_no_metric(var, monkeypatch, caplog):
    make(var, "shop", decisions=1)
    monkeypatch.setattr(
        reading,
        "PARTS",
        {
            "disk": ReadPart(
                lambda w, now: iter([Sample("croupier_typo", 1.0), Sample("croupier_hours_due", 2.0, {"x": "y"})])
            )
        },
    )
    assert {name for name, *_ in read("shop")} == {"up", "read_seconds"}
    assert "found croupier_typo['app'], expected a row of serving/monitoring/metrics.py" in caplog.text


def test_it_is_served_in_prometheus_own_format(var):
    make(var, "shop", decisions=1)
    server = serve([AppReader("shop")], "127.0.0.1:0")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/metrics", timeout=30) as answer:
            families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
        with pytest.raises(ValueError, match=r"--listen: found '127.0.0.1:\d+', .*expected a free address"):
            serve([], f"127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()
    (sample,) = families["croupier_release_number"].samples
    assert (sample.labels, sample.value) == ({"app": "shop"}, 1)
    assert families["croupier_release_number"].documentation == EXPORTED["croupier_release_number"].help


@pytest.mark.parametrize("text", ["9109", ":9109", "127.0.0.1:http", "127.0.0.1:70000", ""])
def test_an_address_without_host_or_port_is_named(text):
    with pytest.raises(ValueError, match=r"--listen: found '.*', expected host:port"):
        address(text)


def test_no_app_at_all_is_one_sentence(var):
    done = CliRunner().invoke(cli, ["exporter"])
    assert (done.exit_code, done.stderr) == (
        1,
        "croupier: exporter: found no declared app, expected --app NAME, or an app below CROUPIER_VAR\n",
    )


def test_looking_makes_no_log(var):
    (var / "shop").mkdir()
    (var / "shop" / "app.toml").write_text(TOML)
    assert read("shop")["up", "shop"] == 1
    assert not (var / "shop" / "spool" / "log.db").exists()
