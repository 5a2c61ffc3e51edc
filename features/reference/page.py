"""The reference of app.toml as a Markdown page."""

from typing import Any

from croupier.features.reference import toml
from croupier.features.reference.keys import Table, tables

HEAD = """# app.toml: every key

One file, `var/<app>/app.toml`, declares what a bandit is. It is checked whole before anything runs: an unknown key, a
wrong type or a value out of its bounds is refused by name. Every key but `type` of a feature and `a`, `b` of an
interaction has a default, so an empty file is valid. `croupier app init` writes one with every key commented out,
`croupier app check` says what a file means, `croupier app diff` what a change of it will do.

This page is written by `python -m croupier.features.reference` from `features/spec.py`; a test holds it equal.
Do not edit it.
"""


def markdown() -> str:
    """The whole page. Raises ValueError naming a key without a description."""
    return HEAD + "".join(map(_section, tables()))


def _section(table: Table) -> str:
    lines = [f"\n## `{table.heading}`: {table.meaning}", "", " ".join(table.details.split()), ""]
    if table.keys:
        lines += ["| key | value | unit | default | meaning |", "|---|---|---|---|---|"]
    for key in table.keys:
        cells = (f"`{key.name}`", key.kind, key.unit, _default(key.default), key.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _default(found: Any) -> str:
    if found is ...:
        return "must be given"
    return "none" if found is None else f"`{toml.value(found)}`"
