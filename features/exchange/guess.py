"""A first `app.toml` from a sample of a log, and what was guessed, so that its owner can correct it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import orjson

from features.exchange.record import Record, Source
from features.fitted import seconds_of, text_of

SAMPLE = 5000
FEW = 10  # distinct whole numbers up to which they are taken for categories
IDENTIFIER = 0.5  # distinct values a row from which text is taken for an identifier


@dataclass(frozen=True, kw_only=True)
class Guess:
    """`toml` is what AppSpec.read reads; `notes` are sentences for people."""

    toml: str
    notes: tuple[str, ...]


def guess_app(source: Source) -> Guess:
    """From the first SAMPLE records and all arms. Raises ValueError when no record can be used."""
    records = list(islice(source.records(), SAMPLE))
    if not records:
        why = ", ".join(f"{n} × {reason}" for reason, n in source.skipped.items())
        raise ValueError(f"no row of this log can be used ({why or 'it is empty'})")
    scopes = {
        "context": [r.decision.context for r in records],
        "arm": [a.features | {"arm_id": a.arm_id} for a in source.arms()],
        "arm_context": [row for r in records for row in r.decision.arm_context],
    }  # fmt: skip
    text, notes = _reward(records, source.reward_kind)
    for scope, rows in scopes.items():
        for name in dict.fromkeys(name for row in rows for name in row):
            lines, note = _feature([row.get(name) for row in rows]) if name != "arm_id" else _arm_id(len(rows))
            notes.append(f"{scope}.{name}: {note}")
            text += [f"[{scope}.{_key(name)}]", *lines, ""] if lines else []
    text += ["[policies]", 'candidates = ["vw_cb_adf", "neural_linear"]', "floor = 0.02", ""]
    return Guess(toml="\n".join(text), notes=tuple(notes))


def _reward(records: Sequence[Record], kind: str) -> tuple[list[str], list[str]]:
    values = [reward.value for r in records for reward in r.rewards]
    low, high = min([0.0, *values]), max([1.0, *values])
    note = f"reward: kind {kind!r}, range {low:g} to {high:g} in {len(records)} rows, 0 where none came"
    text = ["# Written by `croupier init`: read it, correct it, it is yours.", "[reward]", "window_seconds = 3600.0"]
    text += ["default = 0.0", f"range = [{low!r}, {high!r}]", f"[reward.kinds.{_key(kind)}]", 'how = "first"', ""]
    return text, [note]


def _arm_id(n: int) -> tuple[list[str], str]:
    return ['type = "categorical"', f"max_vocabulary = {max(256, n)}"], f"{n} arms, told apart by name too"


def _feature(values: Iterable[Any]) -> tuple[list[str], str]:
    """TOML lines of one feature (none: left out), and why."""
    seen = [v for v in values if v is not None]
    if all(isinstance(v, list | tuple) for v in seen):
        lengths = {len(v) for v in seen}
        if len(lengths) == 1 and all(isinstance(x, int | float) for v in seen for x in v):
            return ['type = "embedding"', f"length = {lengths.pop()}"], "lists of numbers, an embedding"
        return [], f"left out: lists of {len(lengths)} different lengths or not of numbers"
    if any(isinstance(v, dict | list | tuple) for v in seen):
        return [], "left out: nested values"
    if len({text_of(v) for v in seen}) == 1 and len(seen) > 1:
        return [], f"left out: always {text_of(seen[0])}"
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in seen):
        return _numeric(np.array(seen, np.float64))
    texts = [str(text_of(v)) for v in seen]
    if all(map(_time, texts)):
        return ['type = "timestamp"'], "times: hour of the day and day of the week"
    distinct = len(set(texts))
    if len(texts) >= 20 and distinct > IDENTIFIER * len(texts):
        return [], f"left out: {distinct} different texts in {len(texts)} rows look like an identifier"
    size = max(256, 1 << distinct.bit_length())
    return ['type = "categorical"', f"max_vocabulary = {size}"], f"{distinct} categories"


def _numeric(x: Any) -> tuple[list[str], str]:
    distinct = len(np.unique(x))
    if distinct <= FEW and (x == np.round(x)).all() and len(x) > 2 * distinct and np.abs(x).max() < 1000:
        return ['type = "categorical"'], f"{distinct} different whole numbers, taken for categories"
    if x.min() >= 0 and x.mean() > 0 and x.max() > 20 * x.mean():
        return ['type = "numeric"', 'transform = "log"'], f"numbers from {x.min():g} to {x.max():g}, skewed: log"
    return ['type = "numeric"'], f"numbers from {x.min():g} to {x.max():g}"


def _time(text: str) -> bool:
    if len(text) < 10:
        return False
    try:
        return bool(np.isfinite(seconds_of(text)))
    except (ValueError, OverflowError):
        return False


def _key(name: str) -> str:
    """A TOML key; JSON's escapes are TOML's."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else orjson.dumps(name).decode()
