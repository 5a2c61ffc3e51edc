"""How commands tell what they found: words and tables for people, or with `--json` one JSON value for programs.

With `--json` standard output holds that value and nothing else; progress, warnings and errors go to standard error.
"""

import difflib
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from croupier.features.settings import APP_NAME, Settings
from croupier.features.store import layout
from croupier.features.utc import DAY_SECONDS


def declared_apps(incomplete: str = "") -> list[str]:
    """Names of the apps under CROUPIER_VAR that begin so: what a shell offers after `--app`."""
    names = (path.parent.name for path in Settings(app="default").var.glob(layout.DECLARED_APPS))
    return sorted(name for name in names if name.startswith(incomplete))


def named(ctx: typer.Context, param: typer.CallbackParam, value: str) -> str:
    """The app's name, where it can be one. A name that cannot is a wrong call, which says where it was given."""
    if value and not ctx.resilient_parsing and not re.fullmatch(APP_NAME, value):
        source = ctx.get_parameter_source(param.name or "app")
        where = "CROUPIER_APP" if source is not None and source.name == "ENVIRONMENT" else "--app"
        plain = re.sub(r"[^a-z0-9_]+", "_", value.lower()).strip("_")
        near = difflib.get_close_matches(plain, declared_apps(), n=1) or [plain] * bool(re.fullmatch(APP_NAME, plain))
        hint = "".join(f"; did you mean {name}?" for name in near)
        expected = "a name of small letters, digits and _ that begins with a letter"
        ctx.fail(f"{where}: found {value!r}, expected {expected}{hint}")
    return value


LONGEST_PAUSE = 365 * DAY_SECONDS  # seconds between two turns of a loop: what no clock can count cannot be waited for
_WHICH = "which bandit: a folder under var (CROUPIER_VAR)"
App = Annotated[str, typer.Option(envvar="CROUPIER_APP", help=_WHICH, autocompletion=declared_apps, callback=named)]
RoleColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--column", help="ROLE=COLUMN, e.g. arm=item_id; propensity=1/3 is one for every row; may be repeated"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, and nothing else")]
Out = Annotated[
    Path | None, typer.Option("--json", dir_okay=False, help="write the result here as JSON; - prints it, and only it")
]


def roles(items: list[str] | None) -> dict[str, str]:
    """Columns by role, as `--column` gives them."""
    if wrong := [item for item in items or [] if "=" not in item]:
        raise ValueError(f"--column: found {wrong[0]!r}, expected ROLE=COLUMN, such as arm=item_id")
    return dict(item.split("=", 1) for item in items or [])


def told(as_json: bool, found: Any) -> bool:
    """Prints `found` if JSON was asked for. True if it did: the words for people are then left out."""
    if as_json:
        sys.stdout.write(encoded(found))
    return as_json


def encoded(found: Any) -> str:
    """JSON text with a newline at its end. Infinities and NaN, which JSON lacks, are null; paths and times are text."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    return orjson.dumps(found, default=str, option=options).decode()


def prepared(*paths: Path | None) -> None:
    """Makes the folders of files that are written at the end: a long run must not fail on its last line."""
    for path in paths:
        if path is not None and not to_stdout(path):
            path.parent.mkdir(parents=True, exist_ok=True)


def to_stdout(out: Path | None) -> bool:
    """True for `--json -`: the words for people are then left out."""
    return out is not None and str(out) == "-"


def written(out: Path | None, found: Any) -> None:
    """Writes `found` where `--json OUT` says: a file, or standard output for "-"."""
    if to_stdout(out):
        sys.stdout.write(encoded(found))
    elif out is not None:
        out.write_text(encoded(found))
