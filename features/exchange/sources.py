"""Which reader reads a file: by its ending."""

from collections.abc import Mapping
from pathlib import Path

from croupier.features.exchange.dsjson.reader import DsjsonSource
from croupier.features.exchange.record import Source
from croupier.features.exchange.tables.json_rows import holds_rows
from croupier.features.exchange.tables.table_file import ENDINGS
from croupier.features.exchange.tables.tabular import TableSource
from croupier.features.exchange.tables.text_file import GZIP, refuse_binary, refuse_empty, refuse_no_file

JSON = (".json", ".jsonl", ".ndjson", ".dsjson", ".log")


def open_source(path: Path, *, unit_key: str, columns: Mapping[str, str] | None = None) -> Source:
    """Opens a log by the file's ending, and for JSON by what its first lines hold: DSJSON, or rows of a table.
    `columns`: which column of a table plays which role, where the name alone does not say. Raises ValueError saying
    what is missing."""
    refuse_no_file(path)
    name = path.name.lower()
    if not name.endswith((*ENDINGS, *JSON)):
        raise ValueError(
            f"{path}: found a file of unknown kind, expected a table as {', '.join(ENDINGS)}, or DSJSON or "
            f"rows as {', '.join(JSON)}"
        )
    refuse_empty(path)
    if name.endswith(JSON):
        _refuse_no_json(path)
    if name.endswith(ENDINGS) or holds_rows(path, columns or {}):
        return TableSource(path, unit_key=unit_key, columns=columns or {})
    return DsjsonSource(path, unit_key=unit_key)


def _refuse_no_json(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(8)
    refuse_binary(path, head)
    if head.startswith(GZIP) or b"\0" in head:
        kind = "a gzip file; unpack it first" if head.startswith(GZIP) else "UTF-16 or other bytes; save it as UTF-8"
        raise ValueError(f"{path}: found {kind}, expected JSON, one object a line")
