"""Changes of a catalogue by hand: add, change, retire, pause, resume. Lists in, lists out."""

import csv
import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from croupier.features.encoding import catalogue
from croupier.features.known_arms import retired
from croupier.features.schema import Arm

Arms = Sequence[Arm]
TIMES = ("valid_from", "valid_to")
MOST_COMPARED = 10_000  # ids among which one that was meant is looked for: of a million it would take minutes


def add(arms: Arms, new: Arms, *, change: bool) -> list[Arm]:
    """Returns the arms with the `new` ones; `change`: those that are there already get their features, and their times
    where they say any; what is paused or retired stays so. Without `change` they are a ValueError."""
    there, coming = {arm.arm_id for arm in arms}, {arm.arm_id: arm for arm in new}
    if len(coming) < len(new):
        twice = next(arm for arm, n in Counter(arm.arm_id for arm in new).items() if n > 1)
        raise ValueError(f"arm: found {twice!r} twice, expected each arm once")
    if known := [arm for arm in coming if arm in there and not change]:
        raise ValueError(f"arm: found {known[0]!r} in the catalogue already; --change gives it new features")
    return [_changed(arm, coming.pop(arm.arm_id, arm)) for arm in arms] + list(coming.values())


def _changed(old: Arm, new: Arm) -> Arm:
    return replace(
        new,
        valid_from=new.valid_from or old.valid_from,
        valid_to=new.valid_to or old.valid_to,
        paused=new.paused or old.paused,
    )


def retire(arms: Arms, ids: Sequence[str], *, at: int, now: int) -> list[Arm]:
    """Returns the arms with those of these ids ending at `at` (UTC µs). One that has ended by `now` stays as it is."""
    return _each(arms, ids, lambda arm: arm if retired(arm, now) else replace(arm, valid_to=at))


def pause(arms: Arms, ids: Sequence[str]) -> list[Arm]:
    """Returns the arms with these paused. Raises ValueError naming an id that is unknown."""
    return _each(arms, ids, lambda arm: replace(arm, paused=True))


def resume(arms: Arms, ids: Sequence[str], *, now: int) -> list[Arm]:
    """Returns the arms with these neither paused nor retired any more."""
    return _each(arms, ids, lambda arm: replace(arm, paused=False, valid_to=0 if retired(arm, now) else arm.valid_to))


def _each(arms: Arms, ids: Sequence[str], step: Callable[[Arm], Arm]) -> list[Arm]:
    known, wanted = {arm.arm_id for arm in arms}, set(ids)
    for arm in ids:
        if arm not in known:
            near = difflib.get_close_matches(arm, sorted(known)[:MOST_COMPARED], cutoff=0.5)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise ValueError(f"arm: found {arm!r}, expected one of the {len(known)} arms of the catalogue{hint}")
    return [step(arm) if arm.arm_id in wanted else arm for arm in arms]


def read_arms(path: Path) -> list[Arm]:
    """Reads arms from a JSON list as in catalogue.json, or a CSV whose columns are arm_id, features by name, and, if it
    has them, valid_from, valid_to (UTC µs) and paused. Raises ValueError naming file and entry."""
    if path.suffix.lower() == ".csv":
        return catalogue.loads(orjson.dumps([_of_row(path, i, row) for i, row in enumerate(_rows(path), start=2)]))
    try:
        return catalogue.read(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_ids(path: Path) -> list[str]:
    """Arm ids from a JSON list of texts or of arms, or the column arm_id of a CSV."""
    if path.suffix.lower() == ".csv":
        return [row["arm_id"] for row in _rows(path)]
    try:
        rows = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path}: found no JSON ({error}), expected a list of arm ids, or a .csv") from None
    ids = [row.get("arm_id") if isinstance(row, dict) else row for row in rows] if isinstance(rows, list) else [None]
    if wrong := [each for each in ids if not isinstance(each, str)]:
        raise ValueError(f"{path}: found {wrong[0]!r}, expected a JSON list of arm ids")
    return [str(each) for each in ids]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if "arm_id" not in (table.fieldnames or ()):
            raise ValueError(f"{path}: found columns {table.fieldnames}, expected arm_id among them")
        return list(table)


def _of_row(path: Path, line: int, row: dict[str, str]) -> dict[str, Any]:
    """A CSV's row as an entry of catalogue.json; an empty cell is no value."""
    times = {name: row[name].strip() for name in TIMES if row.get(name)}
    paused = (row.get("paused") or "").strip().lower()
    if wrong := [text for text in times.values() if not text.isdecimal()]:
        raise ValueError(f"{path}, line {line}: found {wrong[0]!r} as a time, expected UTC microseconds")
    if paused not in ("", "true", "false", "1", "0"):
        raise ValueError(f"{path}, line {line}: found paused {paused!r}, expected true or false")
    features = {k: v for k, v in row.items() if k and k not in ("arm_id", "paused", *TIMES) and v not in (None, "")}
    return {
        "arm_id": row["arm_id"],
        "features": features,
        "paused": paused in ("true", "1"),
        **{name: int(text) for name, text in times.items()},
    }
