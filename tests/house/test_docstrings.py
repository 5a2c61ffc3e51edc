"""Words: nine in ten public names of every room say what they are, each can be read alone, and what is cited is here."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("features", "models", "serving", "dags")
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
# beginnings that lean on a neighbour, or have no subject
LEANS = re.compile(
    r"(The same\b|Same\b|As above|See above|Ditto|Likewise|Itself\b|Of (?!course)|Against (?!the clock))"
)
CITED = re.compile(r"(?<![\w/.<>{}*$-])((?:[\w.-]+/)*[\w-]+\.(?:py|md|j2|pbtxt|proto|yml))\b")
OUR_NOTES = re.compile(r"\b(?:FACTS|STATISTICS|DESIGN|STYLE)(?:\.md)?\b(?=[^\w]*§|\.md)")
MADE = {"models.py", "model.py"}  # a caller's own; Triton's, of which there are several


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True,
                         text=True, check=True).stdout  # fmt: skip
    return [path for line in out.splitlines() if (path := ROOT / line).exists()]


def public(tree):
    """(name, node) of the module, its public classes and functions, and the public methods of these classes."""
    yield "module", tree
    for node in tree.body:
        if isinstance(node, FUNCTION | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                methods = (n for n in node.body if isinstance(n, FUNCTION) and not n.name.startswith("_"))
                yield from ((f"{node.name}.{method.name}", method) for method in methods)


def without(text):
    """Names of public things that say nothing, and how many there are."""
    found = list(public(ast.parse(text)))
    return [name for name, node in found if not ast.get_docstring(node)], len(found)


def leaning(text):
    """Docstrings, of private things too, that only make sense beside their neighbour."""
    nodes = (n for n in ast.walk(ast.parse(text)) if isinstance(n, FUNCTION | ast.ClassDef | ast.Module))
    return [said for node in nodes if (said := ast.get_docstring(node)) and LEANS.match(said)]


@pytest.mark.parametrize("room", ROOMS)
def test_nine_in_ten_public_names_say_what_they_are(room):
    silent, count = [], 0
    for path in tracked(f"{room}/*.py"):
        names, n = without(path.read_text())
        silent += [f"{path.relative_to(ROOT)} {name}" for name in names]
        count += n
    assert len(silent) <= 0.1 * count, silent


def test_every_docstring_can_be_read_alone():
    rooms = tracked(*(f"{room}/*.py" for room in ROOMS))
    found = {p.relative_to(ROOT).as_posix(): said for p in rooms if (said := leaning(p.read_text()))}
    assert found == {}


def test_what_is_wrong_is_seen():
    code = 'class A:\n    """The same for b."""\n    def f(self):\n        ...\n    def _g(self):\n        "Of x: y."'
    assert without(code) == (["module", "A.f"], 3)
    assert leaning(code) == ["The same for b.", "Of x: y."]
    assert CITED.findall("see models/none.py, DESIGN.md and app.toml") == ["models/none.py", "DESIGN.md"]
    assert OUR_NOTES.search("as in STATISTICS §4")


def test_cited_files_are_in_this_repository():
    here = {p.relative_to(ROOT).as_posix() for p in tracked()}
    ends = {"/".join(parts[i:]) for parts in (name.split("/") for name in here) for i in range(len(parts))} | MADE
    missing = []
    for path in tracked("*.md", *(f"{room}/*.py" for room in ROOMS)):
        if path.name.startswith("CHANGELOG") or path.parent.name == "CHANGELOG.d":
            continue  # it tells of files that were
        for number, line in enumerate(path.read_text().splitlines(), 1):
            cited = [name for name in CITED.findall(line) if name.replace("../", "") not in ends] + OUR_NOTES.findall(
                line
            )
            missing += [f"{path.relative_to(ROOT)}:{number}: {name}" for name in cited]
    assert missing == []
