"""Times are in UTC, and a browser adds the reader's own: by the one script that the policy of pages allows."""

import re

import pytest

from croupier.features.quality.pages import listing_page, page
from croupier.features.utc import HOUR, to_us
from croupier.features.workspace import Interval
from tests.browser import dom, needs_browser
from tests.page_words import ZONE, unscripted

AT = to_us(Interval.parse("2026-11-02T14:00:00Z", "2026-11-02T15:00:00Z").start)


def test_a_time_is_told_in_utc_as_people_and_as_browsers_read_it():
    assert page.when(AT) == '<time datetime="2026-11-02T14:00:00Z">2026-11-02 14:00:00 UTC</time>'
    assert page.minute(AT + HOUR) == '<time datetime="2026-11-02T15:00:00Z">2026-11-02 15:00 UTC</time>'


def test_the_script_asks_nobody_and_the_page_says_the_same_without_it():
    assert not re.search(r"https?:|fetch|XMLHttp|import|src", ZONE)
    assert "a page" in unscripted(listing_page.listing("a page", [], nothing="none"))


@needs_browser
@pytest.mark.medium
@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Asia/Tokyo", r'<time datetime="2026-11-02T14:00:00Z">2026-11-02 14:00 UTC \(Mon,? 11:00 PM GMT\+9\)</time>'),
        ("UTC", r'<time datetime="2026-11-02T14:00:00Z">2026-11-02 14:00 UTC</time>'),
    ],
)
def test_a_browser_adds_the_readers_time_and_runs_no_other_script(tmp_path, monkeypatch, zone, expected):
    monkeypatch.setenv("TZ", zone)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{page.policy()}">'
    text = listing_page.listing("x", [], nothing=page.minute(AT)).replace("<head>", f"<head>{policy}", 1)
    foreign = '<script>document.title = "a script that nobody allowed"</script>'
    path = tmp_path / "page.html"
    path.write_text(text.replace("</main>", f"</main>{foreign}", 1))
    shown = dom(path, "--lang=en-US")
    assert re.search(expected, shown.replace("\u202f", " ")), re.findall("<time.*?</time>", shown)
    assert "<title>x</title>" in shown
