"""Pages of one app link each other, wherever they lie, and the list of all apps."""

import re
from urllib.parse import urljoin

import pytest

from croupier.features.quality.pages import listing_page, page

KEYS = [
    "reports/health/verdict.html", "reports/gate/ab 1/index.html", "reports/rollout/000002-001.html",
    "reports/quality/20261101T0000-20261101T0100/index.html", "reports/quality/20261101T0000-20261101T0100/docs/index.html",
]  # fmt: skip
PAGES = listing_page.newest(KEYS)
AT = "http://x/croupier/shop/"


def body():
    return page.render("croupier.features.quality.pages", "page.html.j2", title="t").encode()


def links(shown):
    return re.findall(r'href="([^"]*)"', shown.decode())


@pytest.mark.parametrize("name", PAGES.values())
def test_every_page_leads_to_the_others_and_to_all_apps(name):
    shown = listing_page.linked(body(), name, PAGES, above="../")
    found = [urljoin(AT + name.replace(" ", "%20"), href) for href in links(shown)]
    others = [AT + other.replace(" ", "%20") for other in PAGES.values() if other != name]
    assert found == ["http://x/croupier/", *others]
    assert shown.count(b'aria-current="page"') == 1
    assert shown.count(b"<nav aria-label=") == 1


def test_there_is_no_link_to_a_page_that_is_not_there():
    shown = listing_page.linked(
        body(), "health/verdict.html", PAGES | {"gate": "", "rollout": ""}, above="../index.html"
    )
    assert links(shown) == ["../../index.html", "../quality/20261101T0000-20261101T0100/index.html"]


def test_what_has_no_place_for_links_stays_as_it_is():
    assert listing_page.linked(b"<html>of others</html>", "x/index.html", PAGES, above="") == b"<html>of others</html>"
