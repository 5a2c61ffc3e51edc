"""The `croupier` command. Each group lives in a file of `serving/commands/` and is imported only when it is called."""

import difflib
import importlib
import importlib.metadata
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import CompletionItem, TyperCommand, TyperGroup  # type: ignore[attr-defined]  # of the click that typer brings

from croupier.features.store.storage import StoreError
from croupier.serving import plain_help

# by name: where it is, and the first sentence of its own help, so that `croupier --help` imports none of them
COMMANDS = {
    "app": (
        "croupier.serving.commands.declared:group",
        "app.toml: begin one, check it, see what a change of it will do.",
    ),
    "init": (
        "croupier.serving.commands.app:init",
        "Write app.toml and catalogue.json from a sample of your own log, and say what was guessed.",
    ),
    "import": (
        "croupier.serving.commands.app:import_",
        "Append a log of your own (Parquet, CSV or DSJSON); columns as `init` found them.",
    ),
    "migrate": ("croupier.serving.commands.migrate:app", "Move an app here from a service that is no more."),
    "export": (
        "croupier.serving.commands.app:export",
        "Write joined interactions, all by default: Parquet, or DSJSON, which `vw --dsjson` trains on unchanged.",
    ),
    "report": (
        "croupier.serving.commands.app:report",
        "Write the health page of the log, and print the addresses of the newest pages of each kind.",
    ),
    "health": (
        "croupier.serving.commands.health:health",
        "Is my bandit well today, and if not, what do I do: the cause first.",
    ),
    "exporter": (
        "croupier.serving.commands.servers.exporter:exporter",
        "Export health, lift, ages, ship lag, rollout, quality and disk of apps as metrics, until it is stopped.",
    ),
    "serve": ("croupier.serving.commands.servers.serve:app", "Triton: up, down, or in the foreground."),
    "gateway": (
        "croupier.serving.commands.servers.gateway:app",
        "Serve an app over HTTP until stopped: Azure Personalizer's calls, and a REST interface (/openapi.json).",
    ),
    "turn": (
        "croupier.serving.commands.turn:app",
        "Collect the log, build the hours that are due, train and judge when a training is due.",
    ),
    "ship": (
        "croupier.serving.commands.servers.ship:ship",
        "Ship this host's log to the store, each event once, and delete here what is safe there.",
    ),
    "replay": ("croupier.serving.commands.replay:app", "Re-derive one logged decision and print every step."),
    "keys": ("croupier.serving.commands.keys:app", "Keys that sign releases, and certificates for TLS."),
    "rollout": ("croupier.serving.commands.rollout:rollout", "Where the candidate stands, and moving it by hand."),
    "release": ("croupier.serving.commands.rollout:release", "The releases there are, and whether they are whole."),
    "arm": ("croupier.serving.commands.arm:app", "Arms: which there are, and adding, retiring, pausing them."),
    "constraints": (
        "croupier.serving.commands.constraints:group",
        "How rules and constraints stand: target, what was logged so far, price.",
    ),
    "account": (
        "croupier.serving.commands.data:account",
        "Events in this host's spool, and the account of all joined hours.",
    ),
    "quarantine": (
        "croupier.serving.commands.quarantine:app",
        "Rows that broke a rule of the data: see, let in, leave out.",
    ),
    "restatements": (
        "croupier.serving.commands.data:restatements",
        "Every hour that has more than one version, what the new one changed, and who had used the one before.",
    ),
    "forget": (
        "croupier.serving.commands.data:forget",
        "Every row of a unit, and every reward of its decisions, is deleted; the hours it touched are restated.",
    ),
    "gate": ("croupier.serving.commands.evaluation.gate:gate", "Why the gate said what it said."),
    "ope": (
        "croupier.serving.commands.evaluation.ope:app",
        "Estimate a policy's value by DM, IPS, SNIPS and DR with anytime-valid intervals.",
    ),
    "capacity": (
        "croupier.serving.commands.capacity:app",
        "Measure what a decision costs on this machine, and say what so many a second need.",
    ),
    "tune": (
        "croupier.serving.commands.evaluation.tune:app",
        "Parameters, and policies, that the app's own log prefers, with the lines for app.toml.",
    ),
    "site": (
        "croupier.serving.commands.sites.site:app",
        "Sites that share no rows: the sums of one, and the head that all make together.",
    ),
    "simulate": (
        "croupier.serving.commands.simulators.simulate:simulate",
        "On worlds of known truth: how well policies learn, how often the gate and the rollout are wrong.",
    ),
}
LISTED = "croupier: commands are being listed"


class _Lazy(TyperGroup):
    """Looks a command up in COMMANDS, and turns what an operator can mend into one sentence instead of a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 — its signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        where, says = COMMANDS[cmd_name]
        if ctx is not None and ctx.meta.get(LISTED):
            return TyperCommand(cmd_name, help=says)
        module, _, attribute = where.partition(":")
        command = typer.main.get_command(getattr(importlib.import_module(module), attribute))
        command.name = cmd_name  # a group made elsewhere does not know what it is called here
        return plain_help.shown_as_written(command)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The first page: the commands by name and sentence, of which none is imported."""
        ctx.meta[LISTED] = True
        super().format_help(ctx, formatter)

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
