"""Which reader reads a file: by its ending."""

from collections.abc import Mapping
from pathlib import Path

from croupier.features.exchange.dsjson.reader import DsjsonSource
from croupier.features.exchange.record import Source
from croupier.features.exchange.tables.json_rows import holds_rows
from croupier.features.exchange.tables.table_file import ENDINGS
from croupier.features.exchange.tables.tabular import TableSource

JSON = (".json", ".jsonl", ".ndjson", ".dsjson", ".log")


def open_source(path: Path, *, unit_key: str, columns: Mapping[str, str] | None = None) -> Source:
    """Opens a log by the file's ending, and for JSON by what its first lines hold: DSJSON, or rows of a table.
    `columns`: which column of a table plays which role, where the name alone does not say. Raises ValueError saying
    what is missing."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    name = path.name.lower()
    if name.endswith(ENDINGS) or (name.endswith(JSON) and holds_rows(path, columns or {})):
        return TableSource(path, unit_key=unit_key, columns=columns or {})
    if name.endswith(JSON):
        return DsjsonSource(path, unit_key=unit_key)
    raise ValueError(
        f"{path}: found a file of unknown kind, expected a table as {', '.join(ENDINGS)}, or DSJSON or "
        f"rows as {', '.join(JSON)}"
    )
