"""Only features/store/layout.py spells keys of a store and paths of a host: other files of the rooms ask it.

Found are strings, pieces of f-strings included, that are no docstring and no prose: a name of the layout with a dot or
a slash in it (`manifest.json`, `/manifest.json`), what begins as a key does (`releases/`), and a word of it that is
joined to a path (`home / "spool"`)."""

import ast
import re
from pathlib import Path

import pytest

from croupier.features.store import layout

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("features", "models", "serving", "dags")
LAYOUT = Path("features/store/layout.py")
ENDINGS = {
    layout.PARQUET,
    layout.JSON,
    layout.CERTIFICATE,
    layout.PRIVATE_KEY,
    layout.CHECKPOINT,
    ".html",
}  # of files of any kind
NAMES = {value for name, value in vars(layout).items() if name.isupper() and value not in ENDINGS}
WORDS = {name for name in NAMES if re.fullmatch(r"[a-z-]+", name)}
OTHERS = ("candidates", "looks", "rollout", "gate", "ledger", "privacy", "training", "arms", "spool", "triton")
FILE = re.compile(r"[\w-]+\.(json|sig|db|pid|key|pub|crt|lock|parquet|secret|head|safetensors)|\.(crt|key|safetensors)")
BEGINS = re.compile(rf"({'|'.join({n.split('/')[0] for n in NAMES if n.endswith('/')} | set(OTHERS))})/\S*|hour=\S*")


def spelled(source):
    """(line, literal) of each key or path that a module spells."""
    tree = ast.parse(source)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            text = node.value
            name = text.rpartition("/")[2]
            if (
                text in NAMES - WORDS
                or (name in NAMES - WORDS and " " not in text)
                or BEGINS.fullmatch(text)
                or FILE.fullmatch(text)
            ):
                yield node.lineno, text
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            words = [
                part.value for part in ast.walk(node.right) if isinstance(part, ast.Constant) and part.value in WORDS
            ]
            if words and "__file__" not in ast.unparse(node.left):  # else a file of the package itself
                yield node.lineno, words[0]


def modules():
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.relative_to(ROOT) != LAYOUT:
                yield path


@pytest.mark.medium
def test_no_other_file_spells_a_key_or_a_path():
    found = [f"{path.relative_to(ROOT)}:{at}: {text!r}" for path in modules() for at, text in spelled(path.read_text())]
    assert not found, found


@pytest.mark.parametrize(
    "planted",
    [
        'store.get("releases/current")',
        'store.get(f"releases/{number:06d}/manifest.json")',
        'key = prefix + "/manifest.json"',
        'path = home / "app.toml"',
        'path = home / "spool"',
        'path = home / "triton" / name',
        'keys = store.list("verdicts/")',
        'key = f"looks/{champion}.json"',
        'key = f"hour={hour}"',
        'files = var.rglob("triton.pid")',
        'SIGNATURE = "manifest.sig"',
        'path = home / "new.db"',
        'path = home / f"{name}.key"',
    ],
)
def test_a_planted_key_is_found(planted):
    source = (ROOT / "models/same_features.py").read_text()
    assert not list(spelled(source))
    assert list(
        spelled(f"{source}\n\ndef planted(store, home, var, name, number, champion, hour, prefix):\n    {planted}\n")
    )


def test_prose_and_docstrings_may_name_files():
    assert not list(spelled('"""Reads releases/current."""\nraise ValueError(f"app.toml: found {x}, expected y")\n'))
