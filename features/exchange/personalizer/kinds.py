"""What one saved file is, by what it holds; of what is nothing to us, or cannot be read, the sentence that says so."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from croupier.features.exchange.sources import JSON
from croupier.features.exchange.tables.text_file import GZIP

HEAD = 1 << 20  # bytes: settings are smaller, a line of a log is, too
BOM = b"\xef\xbb\xbf"
LOG, SERVICE, POLICY, OTHER = "log", "service", "policy", "other"
MODEL = "not kept: a model of VW is no release of croupier's: the first is trained from the log"
_MODEL = re.compile(rb".{4,8}\d+\.\d+\.\d+\0", re.DOTALL)  # how VW's files begin: a length, and its version
_LINE = frozenset(("c", "EventId", "RewardValue"))


@dataclass(frozen=True, kw_only=True)
class SavedFile:
    """`settings` of a service or policy configuration; `why` of what is none of it."""

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    why: str = ""


def look_at(path: Path) -> SavedFile:
    """Which of them it is. A log is one as soon as any line of its beginning is: the first may be torn."""
    with path.open("rb") as file:
        head = file.read(HEAD).removeprefix(BOM)
    if not path.name.lower().endswith(JSON):
        return SavedFile(kind=OTHER, why=_no_json(path, head))
    if why := _unreadable(head):
        return SavedFile(kind=OTHER, why=why)
    whole = _parsed(head)
    if isinstance(whole, dict) and "rewardWaitTime" in whole:
        return SavedFile(kind=SERVICE, settings=whole)
    if isinstance(whole, dict) and isinstance(whole.get("arguments"), str):
        return SavedFile(kind=POLICY, settings=whole)
    if any(isinstance(line, dict) and _LINE & line.keys() for line in map(_parsed, head.splitlines())):
        return SavedFile(kind=LOG)
    if whole is not None:
        expected = "settings (rewardWaitTime), a learning policy (arguments), or a log (an event a line, with c._multi)"
        return SavedFile(kind=OTHER, why=f"not kept: found other JSON, expected {expected}")
    return SavedFile(kind=OTHER, why=_torn(head))


def _parsed(raw: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _no_json(path: Path, head: bytes) -> str:
    if path.suffix == ".vw" or _MODEL.match(head):
        return MODEL
    return f"not kept: its name has none of the endings {', '.join(JSON)}: rename it if it is one of Personalizer's"


def _unreadable(head: bytes) -> str:
    if not head.strip():
        return "not kept: it is empty"
    if head.startswith(GZIP):
        return "nothing of it was taken: found a gzip file, expected JSON: unpack it, and migrate again with --force"
    if b"\0" in head[:8]:
        return "nothing of it was taken: found UTF-16 or other bytes: save it as UTF-8, and migrate again with --force"
    return ""


def _torn(head: bytes) -> str:
    try:
        orjson.loads(head.split(b"\n", 1)[0])
        said = "its first line alone is"
    except orjson.JSONDecodeError as error:
        said = str(error)
    return f"nothing of it was taken: found no JSON in UTF-8 ({said}): mend it, and migrate again with --force"
