"""What a file defines is imported from that file: only `croupier` itself hands on names of its rooms."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("features", "models", "serving", "dags", "tests")


def modules():
    """Every module of the rooms and of the tests, by the name that it is imported by."""
    found = {}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name if folder == "tests" else f"croupier.{name}"] = path
    return found


def defined(tree):
    """The functions, classes and variables that a module makes itself."""
    made = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    rest = (n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef))
    names = (n for statement in rest for n in ast.walk(statement) if isinstance(n, ast.Name))
    return made | {n.id for n in names if isinstance(n.ctx, ast.Store)}


def handed_on(tree, made):
    """(line, module, name) of each import of a name from a module, one of `made`, that does not define it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in made:
            for alias in node.names:
                if f"{node.module}.{alias.name}" not in made and alias.name not in made[node.module]:
                    yield node.lineno, node.module, alias.name


@pytest.mark.medium
def test_each_name_is_imported_from_where_it_is_defined():
    files = modules()
    trees = {name: ast.parse(path.read_text()) for name, path in files.items()}
    made = {name: defined(tree) for name, tree in trees.items()}
    found = [
        f"{files[importer].relative_to(ROOT)}:{at}: {name} of {module}"
        for importer, tree in trees.items()
        for at, module, name in handed_on(tree, made)
    ]
    assert not found, found


def test_no_room_lists_what_it_hands_on():
    assert [name for name, path in modules().items() if "\n__all__ = " in path.read_text()] == []
    assert "\n__all__ = " in (ROOT / "__init__.py").read_text(), "what a product team imports"


def test_a_name_that_is_handed_on_is_seen():
    made = {"croupier.a": defined(ast.parse("from croupier.b import f\nX = 1"))}
    made["croupier.b"] = defined(ast.parse("def f(): ..."))
    importer = ast.parse("def g():\n    from croupier.a import X, f\n    from croupier.b import f")
    assert list(handed_on(importer, made)) == [(2, "croupier.a", "f")]
