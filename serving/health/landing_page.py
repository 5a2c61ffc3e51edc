"""The landing page: the apps of an installation, the gravest first, each with its sentence and links to its pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from croupier.features.quality.pages import listing_page
from croupier.features.quality.pages.page import render
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.models.health.symptom import ACT, FINE, TO_WATCH
from croupier.serving.health import landing
from croupier.serving.health.landing import UNKNOWN, Overview

MARKS = {
    ACT: ("▲ needs you", "bad"), UNKNOWN: ("? not known", "open"),
    TO_WATCH: ("● watch", "warn"), FINE: ("✔ well", "good"),
}  # fmt: skip
SHOWN = (".html", ".css", ".json", ".png", ".svg", ".jpg")  # no rows


def render_page(found: Sequence[Overview], *, lists: bool = True, now: int) -> str:
    """Returns the page as HTML. Its links are relative, `APP/NAME`; with `lists` the list of all of an app's pages is
    linked, too, as `APP/`. now: UTC µs, shown as the time of the page."""
    return render(
        __package__,
        "landing_page.html.j2",
        title="croupier: apps",
        summary=landing.summary(found),
        apps=[(o, *MARKS[o.level], _links(o, lists)) for o in found],
        now=now,
    )


def write(found: Sequence[Overview], page: Path, *, now: int) -> None:
    """Writes the page, and copies of the pages that it links into folders beside it, so that it can be read offline."""
    page.parent.mkdir(parents=True, exist_ok=True)
    for o in found:
        if any(o.pages.values()):
            _copy(Workspace.known(o.app), o.pages, page.parent / o.app)
    page.write_text(render_page(found, lists=False, now=now), encoding="utf-8")


def _links(o: Overview, lists: bool) -> list[tuple[str, str]]:
    """Returns (address, text); the address is "" where there is no such page yet."""
    newest = [(o.pages[kind], text) for kind, text in listing_page.SHORT.items()]
    kinds = [(f"{o.app}/{quote(name)}" if name else "", text) for name, text in newest]
    return [*kinds, (f"{o.app}/", "All pages")] if lists and any(o.pages.values()) else kinds


def _copy(w: Workspace, pages: Mapping[str, str], folder: Path) -> None:
    for name in filter(None, pages.values()):
        for key in w.store.list(_whole(name)):
            target = folder / layout.report_name(key)
            if key.endswith(SHOWN):
                target.parent.mkdir(parents=True, exist_ok=True)
                body = w.store.get(key)
                if key.endswith(".html"):
                    body = listing_page.linked(body, layout.report_name(key), pages, above=f"../{layout.PAGE}")
                target.write_bytes(body)


def _whole(name: str) -> str:
    """A page that is the index of a folder may link what lies in it."""
    return layout.report(name.removesuffix(layout.PAGE) if name.endswith(f"/{layout.PAGE}") else name)
