"""Great Expectations' Data Docs made to work offline: no script, no font or style from elsewhere, no beacon."""

import re
import shutil
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from croupier.features.quality.pages.listing_page import Group, Link, listing
from croupier.features.store import layout

_DROP = [
    re.compile(r"<script\b.*?</script>", re.S | re.I),
    re.compile(r"<link\b[^>]*>", re.I),
    re.compile(r"@media \(prefers-color-scheme: dark\) \{.*?\n\}(?=\s*</style>)", re.S),
    re.compile(r"<footer\b.*?</footer>", re.S | re.I),
]
_DARK = re.compile(r"@media\(prefers-color-scheme:dark\)\{.*?\}\}", re.S)  # their colours are meant for white paper
_BEACON = re.compile(r"<img\b[^>]*https?://[^>]*>", re.S | re.I)


def offline(folder: Path) -> None:
    """Rewrites every page below `folder` in place. Raises ValueError if a page would still ask another host."""
    ours = "".join(files(__package__).joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "docs.css"))
    style = _DARK.sub("", ours)
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for pattern in _DROP:
            text = pattern.sub("", text)
        text = _BEACON.sub("<strong>croupier · data quality</strong>", text)
        text = text.replace("</head>", f"<style>{style}</style></head>", 1)
        if left := outside(text):
            raise ValueError(f"{page}: still refers to {left[:3]}, expected nothing from other hosts; extend _DROP")
        page.write_text(text, encoding="utf-8")
    shutil.rmtree(folder / "static", ignore_errors=True)  # 4 MB of fonts and pictures that no page refers to now
    (folder / layout.PAGE).write_text(index(folder), encoding="utf-8")


def index(folder: Path) -> str:
    """The page in place of Great Expectations' own index, which is a script."""
    return listing("Data Docs", [Group(links=links(folder, folder))], nothing="", up=f"../{layout.PAGE}")


def outside(page: str) -> list[str]:
    """What a browser would fetch from another host to show this page; plain links are not fetched."""
    found = re.findall(r"""\bsrc\s*=\s*["']?((?:https?:)?//[^"'\s>]+)""", page, re.I)
    found += re.findall(r"""<link\b[^>]*href\s*=\s*["']?((?:https?:)?//[^"'\s>]+)""", page, re.I)
    return found + re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", page, re.I)


def links(site: Path, start: Path) -> list[Link]:
    """Links to the Data Docs' pages of validations in `site`, for a page that lies in `start`."""
    pages = sorted((site / "validations").rglob("*.html"))
    return [(quote(p.relative_to(start).as_posix()), p.relative_to(site).parts[1]) for p in pages]
