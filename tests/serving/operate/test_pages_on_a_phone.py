"""Every page that people open fits a window of 390 pixels, measured by a real browser; axes are labelled finely enough."""

import re
from datetime import timedelta

import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.account import Account
from croupier.features.interactions.parts.interval_rows import IntervalRows
from croupier.features.quality import gx
from croupier.features.quality.pages import listing_page, plane
from croupier.features.quality.time_labels import since_start, time_labels
from croupier.features.spec import AppSpec
from croupier.features.utc import from_us
from croupier.features.worlds.reels import START, World
from croupier.models.baselines import FixedArm
from croupier.models.gate.gate_page import write_report
from croupier.serving.operate import rollout_page
from croupier.serving.release import rollout_state
from tests.browser import needs_browser, shown
from tests.models.gate.test_page import judged

N = 400
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000


def fits(page):
    found = shown(page)
    assert (found["width"] <= 390, found["wide"], found["picture"] <= 390) == (True, [], True), (page, found)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The quality pages of a log in which a rule fails: overview, health, Great Expectations' own."""
    folder, world = tmp_path_factory.mktemp("pages"), World(seed=5)
    (folder / "app.toml").write_text(world.app_toml())
    spec, rows = AppSpec.read(folder / "app.toml"), world.interactions(N)
    encoder = Encoder.fit(spec, rows, world.arms())
    found = gx.check(
        IntervalRows.of(rows.with_columns(propensity=0.9)),
        reward=spec.reward,
        start=from_us(START),
        folder=folder / "quality",
        end=from_us(START) + timedelta(seconds=N),
        encoder=encoder,
        account=Account(decisions_in=N, interactions=N),
    )
    assert not found.passed
    return folder


@needs_browser
@pytest.mark.medium
def test_quality_health_and_great_expectations_fit_a_phone(site):
    pages = sorted((site / "quality").rglob("*.html"))
    assert {p.parent.name for p in pages} >= {"quality", "health", "docs"}
    assert len(pages) >= 7
    for page in pages:
        fits(page)


@needs_browser
@pytest.mark.medium
def test_the_gates_page_and_the_listing_fit_a_phone(tmp_path):
    fits(write_report(judged(), tmp_path / "gate.html", title="shop: the gate's verdict"))
    long = f"reports/quality/{'20260921T0000-20260922T0000' * 3}/index.html"
    (tmp_path / "list.html").write_text(listing_page.reports("shop", [long, "reports/gate/a/index.html"]))
    fits(tmp_path / "list.html")


@needs_browser
@pytest.mark.medium
def test_the_rollouts_page_fits_a_phone_with_its_whole_picture(house):
    h = house(FixedArm(arm="a0"))
    h.until_decided()
    fits(rollout_page.write(h.store, h.home, h.spec, now=h.now))


@pytest.mark.medium
def test_a_page_that_is_too_wide_is_seen(tmp_path):
    """The measure itself: a planted table of one long word."""
    if not needs_browser.args[0]:
        narrow = '<!doctype html><html><meta name="viewport" content="width=device-width"><body>'
        (tmp_path / "wide.html").write_text(f"{narrow}<pre>{'wide ' * 100}</pre></body></html>")
        assert shown(tmp_path / "wide.html")["width"] > 390
    else:
        pytest.skip(needs_browser.kwargs["reason"])


@pytest.mark.parametrize(("step", "expected"), [
    (30_000_000, ["14:13:20", "14:13:50", "14:14:20"]), (MINUTE, ["14:13", "14:14", "14:15"]),
    (12 * HOUR, ["21 Sep 14:13", "22 Sep 02:13", "22 Sep 14:13"]), (DAY, ["21 Sep", "22 Sep", "23 Sep"]),
])  # fmt: skip
def test_axes_are_labelled_as_finely_as_their_steps(step, expected):
    start = START - START % MINUTE + 20_000_000 * (step < MINUTE)
    labels = time_labels([start + k * step for k in range(3)])
    assert labels == expected
    assert len(set(labels)) == 3


def test_a_span_is_told_in_the_unit_it_is_read_in():
    assert [since_start(us)[0] for us in (5 * MINUTE, 3 * HOUR, 30 * HOUR, 14 * DAY)] == [
        "minutes",
        "minutes",
        "hours",
        "days",
    ]


def moved(stages):
    state = rollout_state.start(1, now=0)
    for k in range(1, stages):
        state = rollout_state.advance(state, "well", now=k * HOUR, by="rollout")
    return state


@pytest.mark.parametrize(
    "state", [moved(1), moved(4), rollout_state.abort(moved(3), "harm", now=3 * HOUR, by="rollout")]
)
def test_the_chart_keeps_the_label_of_its_last_stage(state):
    """Words beside a late point end at it, so that they are not cut off on the right."""
    _, _, drawn = rollout_page._shares(state, state.history[-1]["at"] + MINUTE)
    found = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="(start|end)">([^<]+)</text>', drawn)
    x, anchor, words = found[-1]
    assert words == state.stage
    width = 7.5 * len(words)
    left, right = (float(x) - width, float(x)) if anchor == "end" else (float(x), float(x) + width)
    assert plane.LEFT - 10 < left < right < plane.WIDTH
