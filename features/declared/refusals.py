"""What is said of an app.toml that cannot be used: what was found, what was expected, and what to do."""

import difflib
import tomllib
from collections.abc import Mapping
from inspect import isclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

MOST_SHOWN = 80  # characters of a value
MEND = "`croupier app reference` has every key, `croupier app check` says whether it is well"


def parsed(path: Path) -> dict[str, Any]:
    """The tables of the file. Raises ValueError with a sentence where it cannot be read, or is no TOML."""
    try:
        return tomllib.loads(_text(path))
    except RecursionError:
        raise ValueError(f"{path}: found what is not TOML: lists or tables too deep; {MEND}") from None
    except tomllib.TOMLDecodeError as error:
        expected = f"expected `key = value` and [tables]; {MEND}"
        raise ValueError(f"{path}: found what is not TOML: {error}, {expected}") from None
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: found what is not TOML: {error}; {MEND}") from None  # a number of 5,000 digits


def _text(path: Path) -> str:
    raw = b""
    try:
        raw = path.read_bytes()
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: found what is not TOML: byte 0x{raw[error.start]:02x} in line {line} is not UTF-8, as "
            "TOML is; save the file as UTF-8, in an editor or by `iconv -f LATIN1 -t UTF-8`"
        ) from None
    except OSError as error:
        raise ValueError(f"{path}: {_unreadable(path, error)}") from None


def _unreadable(path: Path, error: OSError) -> str:
    expected = "expected the declaration of an app"
    if isinstance(error, FileNotFoundError):
        return (
            f"found no such file, {expected}; `croupier init LOG` writes one from a sample of a log, "
            "`croupier app init` one with every key commented out"
        )
    if isinstance(error, IsADirectoryError):
        return f"found a folder, {expected}; move it away, then `croupier init LOG` or `croupier app init`"
    if isinstance(error, PermissionError):
        return f"found a file that this user may not read, {expected}; chmod or chown it"
    if isinstance(error, NotADirectoryError):
        return f"found that {path.parent} is no folder, {expected} in the folder of its name; move that file away"
    return f"found {error.strerror or error}, {expected} in a file that can be read; mend or replace it"


def sentences(model: type[BaseModel], error: ValidationError) -> str:
    """One line an entry: its name in the file, what was found, what was expected; a misspelt key with the nearest."""
    lines = [_line(model, one) for one in error.errors()]
    return "\n".join([*(f"  {line}" for line in lines), f"  ({MEND})"])


def _line(model: type[BaseModel], one: Mapping[str, Any]) -> str:
    name, said = ".".join(map(str, one["loc"])), str(one["msg"]).removeprefix("Value error, ")
    if not name or said.startswith(f"{name}."):  # of several entries at once: it names them, and their table says less
        return said
    if one["type"] == "extra_forbidden":
        keys = _keys(model, one["loc"][:-1])
        near = difflib.get_close_matches(str(one["loc"][-1]), keys, n=2)
        said = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(keys)}"
        return f"{name}: found {_shown(one['input'])} under a key that there is not; {said}"
    if one["type"] == "missing":
        return f"{name}: found no such key, expected a value: it has no default"
    return f"{name}: found {_shown(one['input'])}, {_expected(one['msg'])}"


def _expected(message: str) -> str:
    """pydantic's own words in ours."""
    message = message.removeprefix("Value error, ")
    for theirs in ("Input should be ", "String should "):
        if message.startswith(theirs):
            message = message.removeprefix(theirs).replace("dictionary or instance of ", "table of ")
            message = message.removeprefix("have ")
            for word, plain in (("a valid dictionary", "a table"), ("a valid tuple", "a list")):
                message = message.replace(word, plain)
            return f"expected {message}"
    return message if message.startswith("expected") else f"but {message}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys that the table at `path` may have."""
    found: Any = model
    for step in path:
        found = _below(found, step)
    table = _model(found)
    return list(table.model_fields) if table else []


def _below(kind: Any, step: object) -> Any:
    """The type of what stands under `step` in a value of this type; None where that is not known."""
    if (table := _model(kind)) is not None:
        field = table.model_fields.get(str(step))
        return field.annotation if field else None
    inner = [each for each in get_args(kind) if each is not ...]
    return inner[-1] if get_origin(kind) in (dict, list, tuple) and inner else None


def _model(kind: Any) -> type[BaseModel] | None:
    """The table that a value of this type is, also where it may be missing."""
    for one in (kind, *get_args(kind)):
        if isclass(one) and issubclass(one, BaseModel) and get_origin(kind) not in (dict, list, tuple):
            return one
    return None
