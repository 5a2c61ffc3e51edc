"""What a page says without its markup, and a page without the one script that pages may have (zone.js)."""

import re
from html import unescape
from importlib.resources import files

ZONE = files("croupier.features.quality.pages").joinpath("zone.js").read_text().removesuffix("\n")


def unscripted(page: str) -> str:
    """The page without zone.js, as it stands in it once."""
    script = f"<script>{ZONE}</script>"
    assert page.count(script) == 1, "zone.js stands in every page once"
    return page.replace(script, "")


def words(page: str) -> str:
    """The page's text, blanks squeezed; what only eyes or only ears get is in it, too."""
    text = re.sub(r"<style.*?</style>", " ", unscripted(page), flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", text)))
