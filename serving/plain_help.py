"""Help as it is written: Rich, which shows it, would take `[training]` for a colour and leave it out, and keep the ends
of the lines that the source happens to have."""

from typing import Any

from rich.markup import escape


def shown_as_written(command: Any) -> Any:
    """Returns a command, its help and that of its options and commands made so that they are shown as they are
    written, a paragraph wrapped as one."""
    if command.help:
        command.help = "\n\n".join(map(_shown, command.help.split("\n\n")))
    if command.short_help:
        command.short_help = escape(command.short_help)
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = escape(parameter.help)
    for inner in getattr(command, "commands", {}).values():
        shown_as_written(inner)
    return command


def _shown(paragraph: str) -> str:
    return escape(" ".join(line.strip() for line in paragraph.splitlines()))
