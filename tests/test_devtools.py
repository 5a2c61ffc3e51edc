"""A page is waited for as long as it moves, and given up where it stands still."""

import pytest

from tests import devtools
from tests.browser import dom, needs_browser

PAGE = "<!doctype html><title>x</title><script>window.told = 0; {script}</script>"

pytestmark = [pytest.mark.slow, needs_browser]


def test_a_page_is_waited_for_while_it_moves(tmp_path, monkeypatch):
    """Twenty looks of 100 ms, none of them the last: what `--virtual-time-budget` and a limit in seconds cut off."""
    monkeypatch.setattr(devtools, "LOOKED", 100)
    path = tmp_path / "moves.html"
    path.write_text(PAGE.format(script="setInterval(() => document.title = `at ${++told}`, 100)"))
    assert "<title>at 2" in dom(path, done="window.told >= 20 && window.told < 30")


def test_a_page_that_stands_still_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(devtools, "LOOKED", 100)
    monkeypatch.setattr(devtools, "HUNG", 0.5)
    path = tmp_path / "stands.html"
    path.write_text(PAGE.format(script=""))
    with pytest.raises(
        RuntimeError, match=r"stands.html: found window.told .* = (0|None) for 0 s, expected window.told > 0"
    ):
        dom(path, done="window.told > 0")
