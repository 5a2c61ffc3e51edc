"""The landing page: each app in a sentence, the gravest first; what cannot be computed says why and is never well."""

import json
import re
from dataclasses import replace

import orjson
import pytest
from typer.testing import CliRunner

from croupier.dags.demo import __main__ as demo
from croupier.dags.demo import story
from croupier.features import clock
from croupier.features.store import layout
from croupier.features.utc import DAY, HOUR
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.serving.cli import app as cli
from croupier.serving.health import landing, landing_page
from croupier.serving.health.landing import Overview
from tests.page_words import unscripted, words

START = 1_790_000_000_000_000 - 1_790_000_000_000_000 % HOUR
WELL = {"level": "fine", "known": True, "sentence": "NAME is well: +18 % [12, 24] over uniform this week", "at": START}


@pytest.fixture
def var(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    monkeypatch.delenv("CROUPIER_APP", raising=False)
    (tmp_path / "var").mkdir()
    with clock.at(START + 2 * HOUR):
        yield tmp_path / "var"


def declared(name):
    w = Workspace.open(name)
    w.home.mkdir()
    (w.home / "app.toml").write_text(World().app_toml(window_seconds=600))
    return w


def said(name, **changes):
    """An app of which `monitor` kept this, an hour ago."""
    w = declared(name)
    body = WELL | {"sentence": WELL["sentence"].replace("NAME", name), "examined": START + HOUR} | changes
    w.store.put(layout.report(layout.HEALTH_SAID), orjson.dumps(body))
    w.store.put(layout.report(layout.HEALTH_PAGE), b"<!DOCTYPE html>health")
    return w


def broken(name):
    """An app whose store is a file where a folder is expected."""
    (declared(name).home / layout.STORE).write_text("")


def by_name(found):
    return {o.app: o for o in found}


def test_each_app_has_its_sentence_and_the_gravest_is_first(var):
    said("b_well")
    said("a_watch", level="watch", sentence="a_watch is well: one thing to watch: context.age drifts")
    said("c_act", level="act", sentence="c_act needs you: rewards are gone")
    found = landing.kept(landing.apps())
    assert [(o.app, o.level) for o in found] == [("c_act", "act"), ("a_watch", "watch"), ("b_well", "fine")]
    assert found[2].sentence == "b_well is well: +18 % [12, 24] over uniform this week"
    assert {o.at for o in found} == {START + HOUR}
    assert landing.summary(found) == "3 apps: 1 needs you; 1 well, with something to watch; 1 well"
    assert [landing.exit_code(found[k:]) for k in range(4)] == [2, 1, 0, 0]


@pytest.mark.parametrize(("changes", "later", "why"), [
    ({"known": False, "sentence": "shop is too young to be judged"}, 0, "shop is too young to be judged"),
    ({}, 3 * HOUR, "shop: not examined since 2026-09-21 15:00 UTC, is the DAG monitor paused? It then said: shop is well"),
    ({"examined": START + 2 * DAY}, 2 * DAY, "shop: no hour is joined since 2026-09-21 15:00 UTC, is `croupier turn` (or the DAG build_features)"),
    ({"examined": START + 2 * DAY}, 0, "shop: not examined since 2026-09-23 14:00 UTC, is the DAG monitor paused?"),
    ({"sentence": None, "level": None, "at": "x"}, 0, "shop: its health could not be computed: "),
])  # fmt: skip
def test_what_is_not_known_is_never_well(var, changes, later, why):
    said("shop", **changes)
    assert [o.level for o in landing.kept(["shop"])] == ["fine"] or not later or "examined" in changes
    with clock.at(START + 2 * HOUR + later):
        (found,) = landing.kept(["shop"])
    assert found.level == landing.UNKNOWN
    assert found.sentence.startswith(why)
    page = landing_page.render_page([found], now=START)
    assert "? not known" in page
    assert "✔ well" not in page


def test_an_app_that_is_broken_says_why_and_the_others_are_shown(var):
    said("shop")
    declared("fresh")
    broken("torn")
    found = by_name(landing.kept(landing.apps()))
    assert {name: o.level for name, o in found.items()} == {"torn": "unknown", "fresh": "unknown", "shop": "fine"}
    assert (found["torn"].failed, found["fresh"].failed) == (True, False)
    assert found["torn"].sentence.startswith("torn: its health could not be computed: ")
    assert str(var / "torn" / "store") in found["torn"].sentence
    assert found["fresh"].sentence.startswith("fresh: not examined yet")
    assert landing.exit_code(list(found.values())) == 2


def test_a_name_that_nobody_declared_makes_no_folder(var):
    (found,) = landing.kept(["typo"])
    assert (found.failed, found.level) == (True, "unknown")
    assert list(var.iterdir()) == []


def test_the_page_links_the_newest_page_of_each_kind(var):
    w = said("shop")
    for name in ("gate/a1/index.html", "gate/a2/index.html", "rollout/000003-002.html"):
        w.store.put(layout.report(name), b"<!DOCTYPE html>")
    found = landing.kept(["shop"])
    page = landing_page.render_page(found, now=START + 2 * HOUR)
    links = re.findall(r'href="([^"]+)"', page)
    assert links == ["shop/health/verdict.html", "shop/gate/a2/index.html", "shop/rollout/000003-002.html", "shop/"]
    assert "Data quality: no page yet" in words(page)
    assert "Judged up to 2026-09-21 15:00 UTC." in words(page)
    assert '<time datetime="2026-09-21T16:00:00Z">2026-09-21 16:00 UTC</time>' in page
    assert not re.search(r"<script|https?://|@import|url\(", unscripted(page))
    hostile = replace(found[0], sentence="<script>alert(1)</script>")
    assert "<script" not in unscripted(landing_page.render_page([hostile], now=START))


def test_the_page_on_disk_has_copies_of_what_it_links_and_nothing_else(var, tmp_path):
    w = said("shop")
    whole = "quality/20260921T0000-20260922T0000"
    kept = {f"{whole}/index.html": b"q", f"{whole}/health/index.html": b"h", f"{whole}/rows.parquet": b"rows",
            "quality/20260901T0000-20260902T0000/index.html": b"old"}  # fmt: skip
    for name, body in kept.items():
        w.store.put(layout.report(name), body)
    page = tmp_path / "out" / "index.html"
    landing_page.write(landing.kept(["shop"]), page, now=START)
    for link in re.findall(r'href="([^"]+)"', page.read_text()):
        assert (page.parent / link).is_file()
    files = sorted(p.relative_to(page.parent).as_posix() for p in page.parent.rglob("*") if p.is_file())
    assert files == [
        "index.html",
        "shop/health/verdict.html",
        f"shop/{whole}/health/index.html",
        f"shop/{whole}/index.html",
    ]


def croupier(*arguments):
    done = CliRunner().invoke(cli, ["health", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_without_an_app_the_terminal_has_the_overview(var, tmp_path):
    done = croupier()
    assert (done.exit_code, "found none in" in done.output) == (1, True)
    declared("fresh")
    done = croupier()
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "1 app: 1 not known"
    assert done.stdout.splitlines()[1].startswith("unknown  fresh: no hour that has ended is joined yet")
    broken("torn")
    done = croupier("--json", "--html", str(tmp_path / "all" / "page.html"))
    found = json.loads(done.stdout)
    assert done.exit_code == 2
    assert [(o["app"], o["level"], o["failed"]) for o in found["apps"]] == [
        ("fresh", "unknown", False), ("torn", "unknown", True),
    ]  # fmt: skip
    assert "torn: its health could not be computed" in done.stderr
    assert found["page"] == str(tmp_path / "all" / "page.html")
    assert (tmp_path / "all" / "fresh" / "health" / "verdict.html").exists()
    assert "not known yet" in (tmp_path / "all" / "fresh" / "health" / "verdict.html").read_text()


def test_open_shows_the_landing_page(var, monkeypatch):
    declared("fresh")
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert croupier("--open").exit_code == 0
    assert opened == [(var / "overview" / "index.html").as_uri()]
    assert "fresh: no hour that has ended is joined yet" in (var / "overview" / "index.html").read_text()


def test_copies_beside_the_landing_page_link_each_other(var, tmp_path):
    w = said("shop")
    page = b"<main>\n<!-- pages -->\n</main>"
    for name in ("health/verdict.html", "gate/ab/index.html", "quality/x/index.html", "quality/x/health/index.html"):
        w.store.put(layout.report(name), page)
    landing_page.write(landing.kept(["shop"]), tmp_path / "index.html", now=START)
    for path in (tmp_path / "shop").rglob("*.html"):
        hrefs = re.findall(r'href="([^"]*)"', path.read_text())
        assert len(hrefs) >= 3
        assert all((path.parent / href).resolve().exists() for href in hrefs), (path, hrefs)


def test_the_demo_ends_with_each_apps_sentence(var, capsys):
    declared("reels")
    broken("obd")
    found = demo.landed(var)
    story._health(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert "obd: its health could not be computed: " in shown
    assert shown.endswith(
        "reels: no hour that has ended is joined yet: `croupier turn` (in Airflow: build_features) joins each once its rewards are complete"
    )
    assert [a["app"] for a in found["apps"]] == ["obd", "reels"]
    assert (var / "overview" / "index.html").exists()
    assert json.loads(json.dumps(found))["page"] == str(var / "overview" / "index.html")


def test_an_overview_is_plain_json():
    assert Overview(app="a", level="fine", sentence="s").to_dict()["pages"] == {
        "health": "", "gate": "", "rollout": "", "quality": "",
    }  # fmt: skip
