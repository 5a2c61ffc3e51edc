"""`croupier health silence`: what one watch finds does not count for a time; see which are silenced, and end it."""

import getpass
import socket
from typing import Annotated, Any

import typer

from croupier.features.clock import now_us
from croupier.features.spec_values import seconds_of
from croupier.features.utc import SECOND
from croupier.features.workspace import Workspace
from croupier.models.health.symptom import WATCHES
from croupier.serving.commands.telling import App, AsJson, told
from croupier.serving.health import silences
from croupier.serving.health.silences import Silence
from croupier.serving.health.told import silence_text

Watch = Annotated[str, typer.Option("--watch", help=f"which: {', '.join(WATCHES)}", autocompletion=lambda: WATCHES)]
For = Annotated[str, typer.Option("--for", help="how long, such as 30m, 4h or 2d")]
Why = Annotated[str, typer.Option("--why", help="what people will read beside it")]
By = Annotated[str, typer.Option("--by", help="who says so (default: the user of this host)")]
Ended = Annotated[bool, typer.Option("--end", help="end the silence of --watch now")]
Listed = Annotated[bool, typer.Option("--list", help="only show which silences are in force")]


def silence(
    ctx: typer.Context,
    app: App = "default",
    *,
    watch: Watch = "",
    lasting: For = "",
    why: Why = "",
    by: By = "",
    end: Ended = False,
    listed: Listed = False,
    as_json: AsJson = False,
) -> None:
    """Silence a watch for a time: it is still shown, but neither pages nor counts in the exit code. It ends by itself.

    `croupier health silence --watch reward --for 4h --why "the feed is being moved"`; again with another --for to
    change it, with --end to end it, with --list to see what is silenced."""
    w, now = Workspace.known(_asked(ctx, app)), now_us()
    if listed == bool(watch) or (listed and (lasting or end)):
        raise ValueError(
            f"health silence: found {'--list beside others' if listed else 'no --watch'}, expected --list alone, or "
            f"--watch with one of {', '.join(WATCHES)}"
        )
    if bool(lasting) == end and not listed:
        raise ValueError("health silence: expected --for with a duration, such as 4h, or --end, and not both")
    if end:
        ended = silences.end(w.store, watch, now=now)
        _say(as_json, [ended], [f"{watch}: its silence has ended; what it finds counts again"])
        return
    found = list(silences.in_force(w.store, now).values())
    if not listed:
        until = now + int(_seconds(lasting) * SECOND)
        who = by or f"{getpass.getuser()}@{socket.gethostname()}"
        found = [silences.begin(w.store, Silence(watch=watch, since=now, until=until, by=who, why=why))]
    _say(as_json, found, [silence_text(each) for each in found] or [f"{w.settings.app}: nothing is silenced"])


def _seconds(lasting: str) -> float:
    try:
        return seconds_of(lasting)
    except ValueError as error:
        raise ValueError(f"--for: found {lasting!r}, {error}") from None


def _say(as_json: bool, found: list[Silence], words: list[str]) -> None:
    if not told(as_json, [each.to_dict() for each in found]):
        print("\n".join(words))


def _asked(ctx: typer.Context, app: str) -> str:
    """The app, where `croupier health --app A silence` named it before the verb, too."""
    before = ctx.parent
    return str(before.params["app"]) if before is not None and _said(before) and not _said(ctx) else app


def _said(ctx: Any) -> bool:
    """True if --app was given on the command line, not by CROUPIER_APP."""
    source = ctx.get_parameter_source("app")
    return source is not None and source.name == "COMMANDLINE"
