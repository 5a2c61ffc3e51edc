"""The `croupier` command. Each group lives in a file of `serving/commands/` and is imported only when it is called."""

import difflib
import importlib
import importlib.metadata
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import CompletionItem, TyperGroup  # type: ignore[attr-defined]  # of the click that typer brings

from croupier.features.store.storage import StoreError

COMMANDS = {
    "app": "croupier.serving.commands.declared:group",
    "init": "croupier.serving.commands.app:init",
    "import": "croupier.serving.commands.app:import_",
    "migrate": "croupier.serving.commands.migrate:app",
    "export": "croupier.serving.commands.app:export",
    "report": "croupier.serving.commands.app:report",
    "health": "croupier.serving.commands.health:health",
    "exporter": "croupier.serving.commands.servers.exporter:exporter",
    "serve": "croupier.serving.commands.servers.serve:app",
    "gateway": "croupier.serving.commands.servers.gateway:app",
    "turn": "croupier.serving.commands.turn:app",
    "replay": "croupier.serving.commands.replay:app",
    "keys": "croupier.serving.commands.keys:app",
    "rollout": "croupier.serving.commands.rollout:rollout",
    "release": "croupier.serving.commands.rollout:release",
    "arm": "croupier.serving.commands.arm:app",
    "account": "croupier.serving.commands.data:account",
    "quarantine": "croupier.serving.commands.quarantine:app",
    "restatements": "croupier.serving.commands.data:restatements",
    "forget": "croupier.serving.commands.data:forget",
    "gate": "croupier.serving.commands.evaluation.gate:gate",
    "ope": "croupier.serving.commands.evaluation.ope:app",
    "simulate": "croupier.serving.commands.simulators.simulate:simulate",
}


class _Lazy(TyperGroup):
    """Looks a command up in COMMANDS, and turns what an operator can mend into one sentence instead of a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 — its signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = typer.main.get_command(getattr(importlib.import_module(module), attribute))
        command.name = cmd_name  # a group made elsewhere does not know what it is called here
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A misspelt name is answered with the nearest ones."""
        near = difflib.get_close_matches(args[0], COMMANDS) if args and args[0] not in COMMANDS else []
        if near and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(map(repr, near))}?")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The commands that begin so, without importing any: a TAB does not wait."""
        names = [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]
        return names or super().shell_complete(ctx, incomplete)  # options

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, RuntimeError, KeyError, OSError, StoreError, OverflowError, MemoryError) as error:
            if isinstance(error, typer.Exit | typer.Abort) or "CROUPIER_TRACEBACK" in os.environ:
                raise
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            print(f"croupier: {text}", file=sys.stderr)
            ctx.exit(1)


app = typer.Typer(cls=_Lazy, no_args_is_help=True, pretty_exceptions_enable=False)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"croupier {importlib.metadata.version('croupier')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="say it and stop")]


@app.callback()
def _croupier(version: Version = False) -> None:
    """Decisions that learn: serve arms, watch a rollout, look into the log. CROUPIER_TRACEBACK=1 shows tracebacks."""


if __name__ == "__main__":
    app()
