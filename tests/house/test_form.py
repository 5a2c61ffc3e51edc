"""Form is ruff's: what it leaves as it is (`# fmt: skip`) is a table of data, and nothing else."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("features", "models", "serving", "dags", "tests")
SKIP = "  # fmt: skip"
ROWS = 3  # of a literal, from which on it is a table
DISPLAYS = ast.Dict | ast.List | ast.Tuple | ast.Set


def heads(tree):
    """(first line, last line, nodes) of each statement: of one that has a body what stands before it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            decorators = getattr(node, "decorator_list", [])
            first = min(n.lineno for n in (node, *decorators))
            if not hasattr(node, "body"):
                yield first, node.end_lineno, [node]
            else:
                parts = [getattr(node, name) for name in ("args", "iter", "test") if hasattr(node, name)]
                yield first, node.body[0].lineno - 1, [*decorators, *parts]


def size(display):
    return len(display.keys if isinstance(display, ast.Dict) else display.elts)


def untabled(source):
    """Lines that keep a statement from the formatter although no literal of ROWS entries is in it."""
    marked = [at for at, line in enumerate(source.splitlines(), 1) if line.endswith(SKIP)]
    if not marked:
        return []
    found, statements = [], list(heads(ast.parse(source)))
    for at in marked:
        _, _, nodes = max((s for s in statements if s[0] <= at <= s[1]), key=lambda s: s[0])
        displays = (n for node in nodes for n in ast.walk(node) if isinstance(n, DISPLAYS))
        if not any(size(display) >= ROWS for display in displays):
            found.append(at)
    return found


@pytest.mark.medium
def test_only_tables_of_data_are_kept_from_the_formatter():
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): lines for path in files if (lines := untabled(path.read_text()))}
    assert found == {}


def test_other_statements_that_are_kept_from_it_are_seen():
    table = f"x = {{1: 2,\n     3: 4, 5: 6}}{SKIP}\n"
    assert untabled(table) == []
    assert untabled(f"y = f(1,\n      2, 3){SKIP}\n{table}def g(a,\n      b): {SKIP}\n    x = [1, 2, 3]\n") == [2, 6]
    assert untabled(f"@mark([1,\n  2, 3])\ndef g(a): ...{SKIP}\n") == [3]
