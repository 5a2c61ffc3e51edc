"""A first `app.toml` from a sample of a log, and what was guessed, so that its owner can correct it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import orjson

from croupier.features.encoding.as_sent import flattened
from croupier.features.exchange.after_decision import known_too_late
from croupier.features.exchange.guess_feature import IDENTIFIER, guess_feature
from croupier.features.exchange.record import Record, Source, all_explained
from croupier.features.schema import FROM_BOTH, FROM_CATALOGUE, InvalidEvent
from croupier.features.spec_values import ONLINE, REFUSE
from croupier.features.utc import HOUR_SECONDS

SAMPLE = 5000


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is known of an app already, and not guessed: keys of app.toml, `vw` the parameters of vw_cb_adf."""

    window_seconds: float = HOUR_SECONDS
    default: float = 0.0
    how: str = "first"
    floor: float = 0.02
    source: str = FROM_CATALOGUE
    learning_mode: str = ONLINE
    unknown_features: str = REFUSE
    vw: Mapping[str, str | float | int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Guess:
    """`toml` is what AppSpec.read reads; `notes` are sentences for people; `too_late` are the context columns that were
    left out, since no decision can have known them."""

    toml: str
    notes: tuple[str, ...]
    too_late: tuple[str, ...] = ()


def guess_app(source: Source, given: Given | None = None) -> Guess:
    """Guesses an app.toml from the first SAMPLE records and all arms; what is `given` stays. Raises ValueError when no
    record can be used."""
    records = list(islice(source.records(), SAMPLE))
    if not records:
        raise ValueError(f"this log: found no usable row ({all_explained(source.skipped)})")
    records = [replace(r, decision=replace(r.decision, context=_flat(r.decision.context))) for r in records]
    brought = [_flat(own) for r in records for own in r.decision.arm_features if own is not None]
    scopes = {
        "context": [r.decision.context for r in records],
        "arm": [*(_flat(a.features) | {"arm_id": a.arm_id} for a in source.arms()), *brought],
        "arm_context": [_flat(row) for r in records for row in r.decision.arm_context],
    }  # fmt: skip
    given = given or Given(source=FROM_BOTH if brought else FROM_CATALOGUE)
    text, notes = _reward(records, source.reward_kind, given)
    too_late, known = [], source.names()
    for scope, rows in scopes.items():
        for name in _names(rows, known[scope]):
            if scope == "context" and (late := known_too_late(name, records)):
                notes.append(f"{scope}.{name}: {late}")
                too_late.append(name)
                continue
            values = [row.get(name) for row in rows]
            found, note = guess_feature(name, values) if name != "arm_id" else _arm_id(len(rows))
            if scope == "context" and note.endswith(IDENTIFIER):
                note += f"; if it names who was asked, say --column unit_id={name}"
            notes.append(f"{scope}.{name}: {note}")
            for declared, lines in found.items():
                text += [f"[{scope}.{_key(declared)}]", *lines, ""]
    text += _policies(given)
    return Guess(toml="\n".join(text), notes=tuple(notes), too_late=tuple(too_late))


def without_log(kind: str, given: Given) -> Guess:
    """The app.toml of an app whose settings are known and whose log is not: it declares no feature, and says so."""
    text, _ = _reward([], kind, given)
    note = (
        "features: none is known without a log: declare [context], [arm] and [arm_context] in app.toml before it "
        "serves; what is not declared is refused, or left out for good"
    )
    return Guess(toml="\n".join([*text, *_policies(given)]), notes=(note,))


def _policies(given: Given) -> list[str]:
    text = ["[arms]", f'source = "{given.source}"', ""] if given.source != FROM_CATALOGUE else []
    asked = {"learning_mode": given.learning_mode, "unknown_features": given.unknown_features}
    said = [f'{name} = "{value}"' for name, value in asked.items() if value not in (ONLINE, REFUSE)]
    text += ["[requests]", *said, ""] if said else []
    text += ["[policies]", 'candidates = ["vw_cb_adf", "neural_linear"]', f"floor = {given.floor!r}", ""]
    if given.vw:
        text += ["[policies.parameters.vw_cb_adf]"]
        text += [*(f"{name} = {orjson.dumps(value).decode()}" for name, value in given.vw.items()), ""]
    return text


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is nested by its dotted names; of a row that is too deep, which no decision takes, nothing."""
    with suppress(InvalidEvent):
        return flattened(row, "")
    return {}


def _names(rows: Sequence[Mapping[str, Any]], known: Sequence[str]) -> list[str]:
    """Those of the sample, and what else the source knows but for objects, whose features are named already."""
    found = dict.fromkeys(name for row in rows for name in row)
    objects = {name[:i] for name in found for i, c in enumerate(name) if c == "."}
    return list(dict.fromkeys([*found, *(name for name in known if name not in objects)]))


def _reward(records: Sequence[Record], kind: str, given: Given) -> tuple[list[str], list[str]]:
    values = [reward.value for r in records for reward in r.rewards]
    low, high = min([0.0, given.default, *values]), max([1.0, given.default, *values])
    none = sum(not r.rewards for r in records)
    note = (
        f"reward: kind {kind!r}, range {low:g} to {high:g} in {len(records)} rows; none came in {none}, which "
        f"counts as reward.default, {given.default:g}; others are refused: widen reward.range where they are right"
    )
    text = ["# Written by `croupier init`: read it, correct it, it is yours.", "[reward]"]
    text += [
        f"window_seconds = {given.window_seconds!r}",
        f"default = {given.default!r}",
        f"range = [{low!r}, {high!r}]",
        f"[reward.kinds.{_key(kind)}]",
        f'how = "{given.how}"',
        "",
    ]
    return text, [note]


def _arm_id(n: int) -> tuple[dict[str, list[str]], str]:
    lines = ['type = "categorical"', f"max_vocabulary = {max(256, n)}"]
    return {"arm_id": lines}, f"{n} arms, told apart by name too"


def _key(name: str) -> str:
    """A TOML key; JSON's escapes are TOML's."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else orjson.dumps(name).decode()
