"""The house stays in order: what lies at the top, how long things are, and nothing of one machine in them."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP = {
    "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "constraints.txt", "docker-compose.yml", "pyproject.toml",
    "__init__.py", "frames.py", "dags", "features", "locks", "models", "serving", "tests",
}  # fmt: skip


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in out.splitlines() if (ROOT / line).exists()]


def test_only_rooms_and_the_usual_files_lie_at_the_top():
    found = {p.relative_to(ROOT).parts[0] for p in tracked()}
    assert {name for name in found if not name.startswith(".")} == TOP


@pytest.mark.parametrize("room", ["features", "models", "serving", "dags"])
def test_every_room_explains_itself(room):
    assert len((ROOT / room / "README.md").read_text()) > 500


def test_dag_files_are_thin():
    for path in tracked("dags/*.py"):
        if "@dag" in path.read_text():
            assert path.read_text().count("\n") <= 110, f"{path.name}: its logic belongs into a room"


def body_lines(function):
    """Lines of a function beside its parameters and its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def test_files_and_functions_keep_the_budget():
    """Files have at most 300 lines, functions at most 40 beside parameters and docstring."""
    too_long = []
    for path in tracked("features/*.py", "models/*.py", "serving/*.py", "dags/*.py"):
        text = path.read_text()
        if text.count("\n") > 300:
            too_long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        functions = [
            n
            for n in ast.walk(ast.parse(text))
            if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and not n.decorator_list
        ]  # a @dag holds its tasks
        too_long += [f"{path.relative_to(ROOT)}:{f.lineno} {f.name}" for f in functions if body_lines(f) > 40]
    assert not too_long, too_long


def test_files_of_tests_keep_the_budget():
    long = {str(p.relative_to(ROOT)): n for p in tracked("tests/*.py") if (n := p.read_text().count("\n")) > 300}
    assert long == {}


def test_folders_hold_few_files_of_one_kind():
    """At most 15 modules beside `__init__.py`; of tests, at most 15 in a folder."""
    counts = {}
    for path in tracked("*.py"):
        kind = path.name.startswith("test_")
        if path.name != "__init__.py":
            counts[path.parent, kind] = counts.get((path.parent, kind), 0) + 1
    assert {str(f.relative_to(ROOT)): n for (f, _), n in counts.items() if n > 15} == {}


def test_nothing_of_one_machine_is_committed():
    machine = re.compile(r"/(work|root|home/[a-z]+)/|https?://[a-z.]*(pypi|pythonhosted)[a-z.]*/simple")
    for path in tracked():
        if (
            path.suffix in {".py", ".md", ".toml", ".txt", ".yml", ".pbtxt", ".lock", ""}
            and path != Path(__file__).resolve()
        ):
            found = machine.search(path.read_text(errors="replace"))
            assert found is None, f"{path.relative_to(ROOT)}: {found.group()}"
