"""An app.toml to begin with: every key with its default, commented out, and what it means above it."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from croupier.features.reference import toml
from croupier.features.reference.keys import Form, Key, Table, tables

HEAD = """# {app}: what this bandit is. Written by `croupier app init`; it is yours.
# Every key stands here with its default, commented out: remove the # of what you change, and of the [heading] above
# it. What has no default, or is named by you (device, category, affinity, click), is an example.
# `croupier app check` says whether it is valid and what it means; features/APP_TOML.md is the reference.
"""
EXAMPLE = (0.0, 100.0)  # of a clip, or a range, which have no default
EXAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "context": ("device", {"type": "categorical"}), "arm": ("category", {"type": "categorical"}),
    "arm_context": ("affinity", {"type": "numeric"}), "reward.kinds": ("click", {}),
    "interactions": ("", {"a": "context.device", "b": "arm.category"}),
    "rules": ("", {"name": "not on phones", "when": {"device": ["phone"]}, "arms": ["video"]}),
    "constraints": ("", {"name": "the new one", "arms": ["video"], "floor": 0.05}),
    "slates.minimums": ("", {"feature": "category", "value": "news", "least": 1}),
    "health": ("", {"reward_change": 0.2}),
}  # fmt: skip


def text(app: str) -> str:
    """The file for an app of this name; it is valid as it stands, and means the defaults."""
    return HEAD.format(app=app) + "".join(map(_table, tables()))


def _table(table: Table) -> str:
    name, given = EXAMPLES.get(table.path, ("name", {}))
    heading = table.heading.replace("NAME", name)
    mark = "" if table.form is Form.ONE else "# "
    lines = ["", *_comment(f"{heading} {table.meaning}"), f"{mark}{heading}"]
    for key in table.keys:
        lines += _comment(_meaning(key))
        default = given.get(key.name, EXAMPLE if key.default is None else key.default)
        lines.append(f"# {key.name} = {toml.value(default)}")
    return "\n".join(lines) + "\n"


def _meaning(key: Key) -> str:
    unit = f", {key.unit}" if key.unit else ""
    return f"  {key.name}: {key.meaning} ({key.kind}{unit})"


def _comment(line: str) -> Iterator[str]:
    indent = " " * (len(line) - len(line.lstrip()))
    yield from (f"## {indent}{part}" for part in wrap(line.strip(), 110))
