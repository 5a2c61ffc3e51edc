"""Which reader reads a file: by its ending."""

from collections.abc import Mapping
from pathlib import Path

from features.exchange.dsjson import DsjsonSource
from features.exchange.record import Source
from features.exchange.tabular import TableSource


def open_source(path: Path, *, unit_key: str, columns: Mapping[str, str] | None = None) -> Source:
    """By the file's ending: .parquet, .csv (also .csv.gz), .tsv, or .json, .jsonl, .dsjson, .log for DSJSON. `columns`:
    which column of a table plays which role, where the name alone does not say. Raises ValueError saying what is
    missing."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    name = path.name.lower()
    if name.endswith((".parquet", ".csv", ".csv.gz", ".tsv")):
        return TableSource(path, unit_key=unit_key, columns=columns or {})
    if name.endswith((".json", ".jsonl", ".dsjson", ".log")):
        return DsjsonSource(path, unit_key=unit_key)
    raise ValueError(f"{path}: found a file of unknown kind, expected .parquet, .csv, .tsv, or DSJSON as .json, .jsonl")
