"""A real browser, where there is one: how wide a page is on a phone, what does not fit, what axe-core finds in it."""

import json
import re
import shutil
import subprocess
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.devtools import browser, opened

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: `apt-get install chromium`")
LOADED = "document.readyState == 'complete'"
TOLD = f"{LOADED} && window.told >= (window.many || 1)"  # how many of a page's frames have told what they found
ASK = """<!doctype html><iframe id="f" src="{src}" style="width:{width}px;height:900px;border:0"></iframe><script>
f.onload = () => {{
  const page = f.contentDocument, root = page.documentElement;
  const wide = [...page.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > {width} + 1 &&
    !e.closest("svg *, .scroll *, .wide *, .show-scrollbars *, table.table *"));
  const pictures = [...page.body.querySelectorAll("svg")].filter(e => !e.closest(".scroll"));
  const name = e => e.tagName.toLowerCase() + "." + String(e.className) + ": " + e.textContent.trim().slice(0, 40);
  document.body.textContent = "WIDTH" + JSON.stringify({{width: root.scrollWidth, wide: wide.slice(0, 6).map(name),
    picture: Math.round(Math.max(0, ...pictures.map(e => e.getBoundingClientRect().right)))}}) + "END";
  window.told = 1;
}};</script>"""


NPM = shutil.which("npm")
SCAN = """<script>window.addEventListener("load", () => axe.run(document, {resultTypes: ["violations"]}).then(found => {
  const hit = v => v.nodes.slice(0, 4).map(n => n.html.slice(0, 160) + " | " + (n.any[0] || n.all[0] || {}).message);
  window.parent.tell({page: document.documentElement.dataset.page, rules: found.passes.map(v => v.id), width: innerWidth,
    dark: matchMedia("(prefers-color-scheme: dark)").matches, needs: document.documentElement.scrollWidth,
    asked: performance.getEntriesByType("resource").map(e => e.name),
    faults: found.violations.map(v => [v.impact, v.id, hit(v)])});
}));</script>"""
FRAMES = """<!doctype html><script>const found = []; window.many = {many};
function tell(one) {{ window.told = found.push(one);
  if (found.length == many) document.documentElement.textContent = "FAULTS" + JSON.stringify(found) + "END"; }}</script><body>{frames}"""


def shown(page: Path, width: int = 390) -> dict:
    """{"width": pixels the page needs in a window of `width`, "wide": what sticks out, "picture": the right edge of the
    pictures that are not scrolled}."""
    return asked(page, ASK.format(src=page.name, width=width), "WIDTH")


@cache
def axe() -> Path | None:
    """axe-core's one file, where npm has it for everybody."""
    if NPM is None:
        return None
    root = subprocess.run([NPM, "root", "--global"], capture_output=True, text=True, check=False, timeout=60).stdout
    found = Path(root.strip()) / "axe-core" / "axe.min.js"
    return found if found.exists() else None


def scanned(pages: dict[str, str], folder: Path, *, dark: bool, widths: tuple[int, ...] = (390, 1440)) -> list[dict]:
    """What axe-core says of each page, by name, in a window of each width: [{"page", "width", "needs": pixels, "dark",
    "asked": what it fetched, "rules": those that it keeps, "faults": (impact, rule, where)}]."""
    frames = []
    for name, text in pages.items():
        scan = text.replace("<html", f'<html data-page="{name}"', 1)
        scan = scan.replace("</body>", f"<script>{axe().read_text()}</script>{SCAN}</body>")
        (folder / f".scan-{name}.html").write_text(scan, encoding="utf-8")
        size = "height:900px;border:0"
        frames += [f'<iframe src=".scan-{name}.html" style="width:{width}px;{size}"></iframe>' for width in widths]
    frame = FRAMES.format(many=len(frames), frames="".join(frames))
    colours = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    return asked(folder / "all.html", frame, "FAULTS", colours)


def asked(page: Path, frame: str, mark: str, *flags: str) -> Any:
    """What a page in a `frame` beside it leaves as JSON between `mark` and END."""
    ask = page.parent / f".ask-{page.stem}.html"
    ask.write_text(frame, encoding="utf-8")
    text = dom(ask, *flags, done=TOLD)
    ask.unlink()
    found = re.search(rf"{mark}(.*)END", text, re.S)
    assert found, text[-1000:]
    return json.loads(unescape(found[1]))


def dom(page: Path, *flags: str, done: str = LOADED) -> str:
    """The page as it is once `done`, an expression of its own, is true."""
    always = ("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--no-first-run",
              "--disable-background-networking", "--disable-component-update", "--disable-sync",
              f"--user-data-dir={page.parent}/.chromium")  # fmt: skip
    with browser(str(CHROMIUM), *always, *flags) as chrome:
        return opened(chrome, page, done=done, state="window.told || 0")
