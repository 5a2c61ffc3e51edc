"""A real browser, where there is one: how wide a page is on a phone, and what does not fit."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: `apt-get install chromium`")
ASK = """<!doctype html><iframe id="f" src="{src}" style="width:{width}px;height:900px;border:0"></iframe><script>
f.onload = () => {{
  const page = f.contentDocument, root = page.documentElement;
  const wide = [...page.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > {width} + 1 &&
    !e.closest("svg *, .scroll *, .wide *, .show-scrollbars *, table.table *"));
  const pictures = [...page.body.querySelectorAll("svg")].filter(e => !e.closest(".scroll"));
  const name = e => e.tagName.toLowerCase() + "." + String(e.className) + ": " + e.textContent.trim().slice(0, 40);
  document.body.textContent = "WIDTH" + JSON.stringify({{width: root.scrollWidth, wide: wide.slice(0, 6).map(name),
    picture: Math.round(Math.max(0, ...pictures.map(e => e.getBoundingClientRect().right)))}}) + "END";
}};</script>"""


def shown(page: Path, width: int = 390) -> dict:
    """{"width": pixels the page needs in a window of `width`, "wide": what sticks out, "picture": the right edge of the
    pictures that are not scrolled}."""
    ask = page.parent / f".ask-{page.stem}.html"
    ask.write_text(ASK.format(src=page.name, width=width), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
               f"--user-data-dir={page.parent}/.chromium", "--virtual-time-budget=4000", "--dump-dom", ask.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    ask.unlink()
    found = re.search(r"WIDTH(.*)END", done.stdout, re.S)
    assert found, done.stdout[-500:] + done.stderr[-500:]
    return json.loads(found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
