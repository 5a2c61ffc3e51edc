"""The five kinds of page, of real parts, in a real browser: axe-core finds no serious or critical fault in light and dark,
on a phone and on a desktop; nothing sticks out, nothing is fetched, each is at most 500 kB.

    apt-get install chromium && npm install --global axe-core@4.14.1      without them these tests are skipped
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from croupier.features import clock
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.account import Account
from croupier.features.interactions.parts.interval_rows import IntervalRows
from croupier.features.quality import gx
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.utc import HOUR, from_us
from croupier.features.worlds.hours import Trouble
from croupier.features.worlds.reels import START, World
from croupier.features.worlds.reels_hours import ReelsHours
from croupier.models.baselines import FixedArm
from croupier.models.gate import gate_page
from croupier.serving.health import landing, landing_page, verdict_page
from croupier.serving.health.examine import examine
from croupier.serving.operate import rollout_page
from tests import reels_store
from tests.browser import axe, needs_browser, scanned
from tests.models.gate.test_page import judged
from tests.serving.watched import House

pytestmark = [
    pytest.mark.slow,
    needs_browser,
    pytest.mark.skipif(axe() is None, reason="no axe-core here: `npm install --global axe-core@4.14.1`"),
]
APP = ReelsHours(per_day=700, seed=4)
HOURS, N = 24 * 6, 400
GRAVE = ("serious", "critical")


def quality(folder):
    """The overview of a check in which a rule fails, and the log over time."""
    world = World(seed=5)
    folder.mkdir()
    (folder / "app.toml").write_text(world.app_toml())
    spec, rows = AppSpec.read(folder / "app.toml"), world.interactions(N)
    encoder, whole = Encoder.fit(spec, rows, world.arms()), Account(decisions_in=N, interactions=N)
    span = {"start": from_us(START), "end": from_us(START) + timedelta(seconds=N)}
    broken = IntervalRows.of(rows.with_columns(propensity=0.9))
    report = gx.check(broken, reward=spec.reward, folder=folder / "q", encoder=encoder, account=whole, **span)
    return report.docs_path.read_text(), (folder / "q" / layout.HEALTH / layout.PAGE).read_text()


def health(folder):
    """The landing page with an app of each level, one of them broken; and the health page of an app that needs you."""
    w = reels_store.declare(APP)
    reels_store.joined(w, APP, range(HOURS))
    reels_store.joined(w, APP, range(HOURS, HOURS + 3), Trouble(skewed=("host-b", 600.0)))
    (folder / "broken").mkdir()
    (folder / "broken" / layout.APP_TOML).write_text("[reward\n")
    with clock.at(APP.start + (HOURS + 4) * HOUR):
        broken, watched = landing.examined(landing.apps())
        found = examine(w)
    assert [(o.app, o.level) for o in (broken, watched)] == [("broken", "unknown"), ("shop", "watch")]
    each = [replace(watched, app="lost", level="act"), broken, watched, replace(watched, app="books", level="fine")]
    grave = replace(found, diagnosis=replace(found.diagnosis, level="act"))
    return landing_page.render_page(each, now=APP.start), verdict_page.render_page(grave)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(folder / "var"))
        (folder / "var").mkdir()
        overview, well = health(folder / "var")
    checked, log = quality(folder / "quality")
    h = House(folder / "house", FixedArm(arm="a0"))
    h.until_decided()
    rollout = rollout_page.write(h.store, h.home, h.spec, now=h.now).read_text()
    h.spool.close()
    gate = gate_page.render(judged(), title="shop: the gate's verdict")
    return {"landing": overview, "health": well, "gate": gate, "rollout": rollout, "quality": checked, "log": log}


@pytest.mark.parametrize("dark", [False, True])
def test_no_page_has_a_serious_fault_sticks_out_or_asks_anybody(pages, tmp_path, dark):
    found = scanned(pages, tmp_path, dark=dark)
    assert {(f["page"], f["width"]) for f in found} == {(name, width) for name in pages for width in (390, 1440)}
    for f in found:
        assert f["dark"] is dark
        assert "color-contrast" in f["rules"], "contrast was looked at"
        assert [fault for fault in f["faults"] if fault[0] in GRAVE] == [], (f["page"], f["width"])
        assert f["needs"] <= f["width"], f["page"]
        assert f["asked"] == [], f["page"]
    assert [f["faults"] for f in found if f["faults"]] == [], "nor a lesser one, as these pages are"


def test_pages_are_small_and_every_chart_is_told(pages):
    for name, text in pages.items():
        assert len(text.encode()) <= 500_000, name
        assert text.count('<svg class="chart"') == text.count('role="img" aria-label='), name


PLANTED = {  # rule: (page, what stands there, the fault in its place)
    "color-contrast": ("landing", "--open:#4f5b68", "--open:#d0d5da"),
    "scrollable-region-focusable": ("rollout", 'tabindex="0"', ""),
    "html-has-lang": ("gate", 'lang="en"', ""),
    "svg-img-alt": ("health", "aria-label=", "data-label="),
    "image-alt": ("log", '<svg class="chart"', '<img src="data:,x"><svg class="chart"'),
}


def test_planted_faults_are_found(pages, tmp_path):
    planted = {rule: pages[page].replace(good, bad) for rule, (page, good, bad) in PLANTED.items()}
    assert all(planted[rule] != pages[page] for rule, (page, _, _) in PLANTED.items())
    for f in scanned(planted, tmp_path, dark=False, widths=(390,)):
        assert {fault[1] for fault in f["faults"] if fault[0] in GRAVE} == {f["page"]}
