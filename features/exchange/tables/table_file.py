"""The file of a table → a frame: Parquet, Feather, CSV of any separator, JSON rows. Ids stay text, digits or not."""

import csv
import io
import re
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import polars as pl

from croupier.features.exchange.cells import NO_VALUE
from croupier.features.exchange.tables.json_rows import read_rows
from croupier.features.exchange.tables.roles import IDS, named_roles
from croupier.features.exchange.tables.text_file import decoded, refuse_ragged

FEATHER = (".feather", ".arrow", ".ipc")
TEXT = (".csv", ".csv.gz", ".tsv")
ENDINGS = (".parquet", *FEATHER, *TEXT)
_SEPARATORS = ",;\t|"
_COMMA_NUMBER = re.compile(r"-?\d+,\d+")
_SAMPLE = 200  # lines that tell how a CSV is written


def read_table(path: Path, columns: Mapping[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """The frame, and what was taken for what. Raises ValueError where the file is not what its ending says."""
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            return pl.read_parquet(path), []
        if name.endswith(FEATHER):
            return pl.read_ipc(path), []
        return _read_csv(path, columns) if name.endswith(TEXT) else read_rows(path)
    except (pl.exceptions.PolarsError, OSError, csv.Error) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: found no table in it ({reason}), expected what its ending says") from None


def _read_csv(path: Path, columns: Mapping[str, str]) -> tuple[pl.DataFrame, list[str]]:
    text, notes = decoded(path)
    with io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="") as file:
        lines = list(islice((line for line in file if line.strip()), _SAMPLE))
    header = lines[0] if lines else ""
    separator = max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", header).count)
    rows = list(csv.reader(lines, delimiter=separator))
    comma = separator != "," and any(_COMMA_NUMBER.fullmatch(cell.strip()) for row in rows[1:] for cell in row)
    names = rows[0] if rows else []
    if twice := [name for name in dict.fromkeys(names) if name and names.count(name) > 1]:
        raise ValueError(f"{path}: found column {twice[0]} twice, expected one of each name; rename or drop it")
    roles = named_roles(names, columns)
    ids = dict.fromkeys([*_codes(names, rows[1:]), *(roles[role] for role in IDS if role in roles)], pl.String)
    refuse_ragged(path, text, separator, len(names))
    notes += [f"columns are separated by {separator!r}"] * (separator not in (",", "\t"))
    notes += ["numbers are written with a decimal comma"] * comma
    read = partial(
        pl.read_csv, text, separator=separator, decimal_comma=comma, schema_overrides=ids, infer_schema_length=10_000
    )
    try:
        frame = read(try_parse_dates=True)
    except pl.exceptions.ComputeError as error:
        if "dtype `datetime" not in str(error):
            raise
        frame = read(try_parse_dates=False)  # written in a way that Polars does not know: times.py reads it, or says so
    before, frame = len(frame), frame.filter(~pl.all_horizontal(pl.all().is_null()))
    notes += [f"{before - len(frame)} blank lines are passed over"] * (before > len(frame))
    texts = [c for c, kind in frame.schema.items() if kind == pl.String and c not in ids] if comma else []
    return frame.with_columns(_points(frame[c]) for c in texts), notes


def _codes(names: list[str], rows: list[list[str]]) -> list[str]:
    """The columns of digits that a number would lose zeros of: 01067 is a postcode, and not 1067."""
    columns = zip(*(row for row in rows if len(row) == len(names)), strict=True)
    told = ([cell.strip() for cell in column if cell.strip()] for column in columns)
    return [
        name
        for name, cells in zip(names, told, strict=False)
        if all(map(str.isdecimal, cells)) and any(cell[0] == "0" and len(cell) > 1 for cell in cells)
    ]


def _points(column: pl.Series) -> pl.Series:
    """Numbers with a decimal comma that stayed text, since some cells say NA or group their digits by points: with a
    point. Other text is itself."""
    told = column.drop_nulls().filter(~column.drop_nulls().str.strip_chars().str.to_lowercase().is_in(list(NO_VALUE)))
    numbers = bool(told.str.contains(r"^\s*[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?\s*$").all())
    plain = column.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return plain if numbers else column
