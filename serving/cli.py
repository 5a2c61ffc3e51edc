"""The `croupier` command. Each group lives in a file of `serving/commands/` and is imported only when it is called."""

import importlib
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from features.storage import StoreError

COMMANDS = {
    "init": "serving.commands.app:init",
    "import": "serving.commands.app:import_",
    "export": "serving.commands.app:export",
    "report": "serving.commands.app:report",
    "serve": "serving.commands.serve:app",
    "replay": "serving.commands.replay:app",
    "rollout": "serving.commands.rollout:rollout",
    "release": "serving.commands.rollout:release",
    "account": "serving.commands.data:account",
    "restatements": "serving.commands.data:restatements",
    "forget": "serving.commands.data:forget",
    "gate": "serving.commands.gate:gate",
    "ope": "serving.commands.ope:app",
    "simulate": "serving.commands.simulate:simulate",
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

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, RuntimeError, KeyError, OSError, StoreError, OverflowError, MemoryError) as error:
            if isinstance(error, typer.Exit | typer.Abort) or "CROUPIER_TRACEBACK" in os.environ:
                raise
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            print(f"croupier: {text}", file=sys.stderr)
            ctx.exit(1)


app = typer.Typer(cls=_Lazy, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def _croupier() -> None:
    """Decisions that learn: serve arms, watch a rollout, look into the log. CROUPIER_TRACEBACK=1 shows tracebacks."""


if __name__ == "__main__":
    app()
