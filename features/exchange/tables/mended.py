"""Rewards, propensities and ids of a table as people write them: read as what they surely are, with a note, or refused.

A row whose reward cannot be read must not be passed over in numbers: which rows remain would depend on the reward.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import polars as pl

from croupier.features.exchange.cells import as_list, unmeasured
from croupier.features.exchange.tables.listed import listed

WORDS = {"true": "1", "yes": "1", "t": "1", "y": "1", "false": "0", "no": "0", "f": "0", "n": "0",
         "ja": "1", "nein": "0", "oui": "1", "non": "0", "sí": "1", "si": "1"}  # fmt: skip
MOST_UNREAD = 0.02  # of the rewards: rows beyond are not passed over
_SERIAL_DAYS = (36_526, 73_050)  # 2000 to 2099; as seconds, hours of the first of January 1970
_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
_NO_THOUSANDS = re.compile(r"[+-]?(0,\d+|\d+,(\d{1,2}|\d{4,}))")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


def mended(frame: pl.DataFrame, given: Mapping[str, str], path: Path) -> tuple[pl.DataFrame, dict[str, str], list[str]]:
    """The frame, the columns by role, and what was taken for what. Raises ValueError on a reward, a propensity or a
    time that is something else."""
    frame, columns, notes = listed(frame, given)
    mends: dict[str, Callable[[pl.Series], tuple[pl.Series, str]]] = {
        "reward": partial(_reward, path=path), "propensity": partial(_propensity, path=path),
        "arm": partial(_arm, floats=_lists_floats(frame, columns)), "at": partial(_time, path=path),
    }  # fmt: skip
    for role in (role for role in mends if role in columns):
        column, note = mends[role](frame[columns[role]])
        frame = frame.with_columns(column)
        notes += [note] if note else []
    return frame, columns, notes


def _reward(column: pl.Series, path: Path) -> tuple[pl.Series, str]:
    if column.dtype != pl.String:
        return column, ""
    column, comma = _points(column)
    cells = column.to_list()
    read = [_plain(cell) for cell in cells]
    strange = [text for text in read if not unmeasured(text) and not _is_number(text)]
    if len(strange) > max(1.0, MOST_UNREAD * len(cells)):
        raise ValueError(
            f"{path}: column {column.name}: found {strange[0]!r} among the rewards, and {len(strange)} like it in "
            f"{len(cells)} rows; expected numbers, or true and false, yes and no; write it as a number"
        )
    words = list(dict.fromkeys(cell for cell, text in zip(cells, read, strict=True) if cell != text))[:4]
    words_read = f"column {column.name}: {', '.join(map(repr, words))} are read as numbers, yes and true as 1"
    return pl.Series(column.name, read, pl.String), "; ".join([comma] * bool(comma) + [words_read] * bool(words))


def _points(column: pl.Series) -> tuple[pl.Series, str]:
    """Numbers with a decimal comma inside a file of commas: all cells have one or none, and some are no thousands."""
    told = [text.strip() for text in column.drop_nulls() if not unmeasured(text)]
    if not all(map(_COMMA.fullmatch, told)) or not any(map(_NO_THOUSANDS.fullmatch, told)):
        return column, ""
    return column.str.replace(",", ".", literal=True), f"column {column.name}: numbers are written with a decimal comma"


def _plain(cell: str | None) -> str | None:
    """The text of a number, where a cell says yes or no, or groups its digits; any other as it is."""
    if cell is None:
        return None
    text = cell.strip()
    if _THOUSANDS.fullmatch(text):
        return text.replace(",", "")
    return WORDS.get(text.lower(), cell)


def _propensity(column: pl.Series, path: Path) -> tuple[pl.Series, str]:
    note = ""
    if column.dtype == pl.String:
        told = [text for text in column.drop_nulls() if not unmeasured(text)]
        if told and all(text.rstrip().endswith("%") and _is_number(_share(text)) for text in told):
            shares = [None if unmeasured(x) else float(_share(x)) / 100.0 for x in column]
            column, note = pl.Series(column.name, shares, pl.Float64), f"column {column.name}: per cent, read as shares"
        else:
            column, note = _points(column)
    numbers = column.cast(pl.Float64, strict=False).fill_nan(None).drop_nulls()
    _refuse_zeros(column.name, numbers, path)
    above = int((numbers > 1.0 + 1e-6).sum())
    if above > MOST_UNREAD * max(len(numbers), 1):
        raise ValueError(
            f"{path}: column {column.name}: found propensities up to {max(numbers):g}, expected probabilities "
            "from 0 to 1; if they are per cent, divide them by 100; if they are weights 1/p, write 1 / weight"
        )
    if len(numbers) and bool((numbers == 1.0).all()):
        note = f"column {column.name}: every propensity is 1: nothing was left to chance, so no other arm can be judged"
    return column, note


def _time(column: pl.Series, path: Path) -> tuple[pl.Series, str]:
    """A spreadsheet's days since 1900 are no seconds since 1970: all of them would be that year's first of January."""
    if column.dtype.is_numeric() and len(told := column.drop_nulls()) and told.is_between(*_SERIAL_DAYS).all():
        raise ValueError(
            f"{path}: column {column.name}: found {told[0]:g}, a spreadsheet's count of days, expected seconds since "
            "1970, or ISO 8601; give the column the format of a date, such as yyyy-mm-dd hh:mm:ss, and save again"
        )
    return column, ""


def _share(text: str) -> str:
    """The number before a per cent sign, with a point."""
    return text.rstrip().rstrip("%").strip().replace(",", ".")


def _refuse_zeros(name: str, numbers: pl.Series, path: Path) -> None:
    """An arm that was drawn had a probability: without it nothing of the row can be judged."""
    none = int((numbers <= 0.0).sum())
    if none > max(1.0, MOST_UNREAD * len(numbers)):
        raise ValueError(
            f"{path}: column {name}: found propensities of {min(numbers):g} in {none} of {len(numbers)} rows, expected "
            "the probability, above 0, with which the shown arm was drawn; is it another arm's, or was it rounded off?"
        )


def _lists_floats(frame: pl.DataFrame, columns: Mapping[str, str]) -> bool:
    """Whether the candidates of the first row that has any are floats, as the arms then are."""
    first = frame[columns["arms"]].drop_nulls().head(1).to_list() if "arms" in columns else []
    with suppress(TypeError, ValueError):
        return any(isinstance(each, float) for listed in first for each in as_list(listed))
    return False


def _arm(column: pl.Series, *, floats: bool) -> tuple[pl.Series, str]:
    """Without blanks around an id (arm_ids.py); ids that are floats only since one is missing are whole numbers."""
    if (
        not floats
        and column.dtype.is_float()
        and column.drop_nulls().len()
        and bool((column.drop_nulls() % 1 == 0).all())
    ):
        return column.cast(pl.Int64), f"column {column.name}: ids are whole numbers, 7.0 is 7"
    if column.dtype != pl.String:
        return column, ""
    trimmed = column.str.strip_chars()
    dropped = bool((trimmed != column).any())
    return trimmed, f"column {column.name}: blanks around ids are dropped" if dropped else ""


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and float(text) == float(text)
    except ValueError:
        return False
