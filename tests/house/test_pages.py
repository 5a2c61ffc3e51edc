"""Pages are template files: each `*_page.html.j2` lies beside the `*_page.py` that fills it; no module holds a page."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from croupier.features.quality.pages import listing_page
from croupier.features.quality.pages.page import render
from tests.page_words import unscripted

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

ROOT = Path(__file__).resolve().parents[2]
HTML = re.compile(r"<!doctype|<html|<body|<h[1-3][ >]|<table|<ul>|<p>", re.I)


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True,
                         text=True, check=True).stdout  # fmt: skip
    return [path for line in out.splitlines() if (path := ROOT / line).exists()]


def markup(text):
    """Lines of string literals that hold a page's markup; docstrings may speak of it."""
    tree = ast.parse(text)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return [n.lineno for n in strings if id(n) not in said and HTML.search(n.value)]


def test_every_page_has_a_module_and_a_template():
    modules = {p.relative_to(ROOT).as_posix().removesuffix(".py") for p in tracked("*_page.py", ":!tests")}
    templates = {p.relative_to(ROOT).as_posix().removesuffix(".html.j2") for p in tracked("*_page.html.j2")}
    assert modules == templates
    assert len(modules) >= 5


def test_no_module_holds_a_page():
    rooms = tracked("features/*.py", "models/*.py", "serving/*.py", "dags/*.py")
    found = {p.relative_to(ROOT).as_posix(): lines for p in rooms if (lines := markup(p.read_text()))}
    assert found == {}


def test_a_page_in_a_module_is_seen():
    assert markup('"""<h1> in words."""\nPAGE = """\n<!doctype html>"""\nx = f"<ul>{1}</ul>"\n') == [2, 4]


def test_values_are_escaped_and_a_missing_one_is_an_error():
    bad = 'reports/gate/<script>alert("x")</script>.html'
    page = unscripted(listing_page.reports("shop<b>", [bad]))
    assert "<script" not in page
    assert "shop&lt;b&gt;: reports</h1>" in page
    assert 'href="gate/%3Cscript%3Ealert%28%22x%22%29%3C/script%3E.html"' in page
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt; script&gt;</a>" in page
    with pytest.raises(UndefinedError):
        render("croupier.features.quality.pages", "listing_page.html.j2", title="x")


def test_lists_of_pages_say_what_there_is():
    old = [f"reports/quality/{i:04d}/index.html" for i in range(listing_page.MOST + 7)]
    page = listing_page.reports("shop", [*old, "reports/rollout/000003-002.html", "reports/quality/1/docs/index.html"])
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Rollouts, by release and step", "Data quality, by interval"]
    assert page.count("<li>") == listing_page.MOST + 1
    assert "and 7 older ones" in page
    assert page.index("quality/0206/index.html") < page.index("quality/0205/index.html")
    assert listing_page.NONE_YET in listing_page.reports("shop", [])
    assert '<a href="../">All apps</a>' in page


def test_the_newest_page_of_each_kind_is_the_last_of_its_name():
    keys = ["quality/0001/index.html", "quality/0002/index.html", "quality/0002/health/index.html", "gate/a/index.html",
            "quality/0002/docs/validations/x.html", "health/verdict.json", "gate/b/index.html"]  # fmt: skip
    assert listing_page.newest([f"reports/{key}" for key in keys]) == {
        "health": "", "gate": "gate/b/index.html", "rollout": "", "quality": "quality/0002/index.html",
    }  # fmt: skip
