"""`croupier constraints`: how the rules and constraints of an app stand; `constraints release`: make them live now."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from croupier.features import clock
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import App, AsJson, told

group = typer.Typer()
console = Console(markup=False, highlight=False, soft_wrap=True)
Days = Annotated[float, typer.Option(min=0.01, max=3650, help="of the joined log to look at")]


@group.callback(invoke_without_command=True)
def _constraints(ctx: typer.Context, app: App = "default", days: Days = 7.0, as_json: AsJson = False) -> None:
    """How rules and constraints stand: target, what was logged so far, price. Exit code 1: a decision broke one, which
    its release had."""
    if ctx.invoked_subcommand is not None:
        return
    w = Workspace.known(app)
    from croupier.serving.constraints import standing

    found = standing.standing(w, end=clock.now(), days=days)
    if not told(as_json, {"app": app, "days": days, "constraints": [asdict(each) for each in found]}):
        if not found:
            console.print(
                "app.toml declares no [[rules]], [[constraints]], [safety] or [[slates.minimums]]: "
                "features/APP_TOML.md has them"
            )
        else:
            for line in standing.lines(found):
                console.print(line)
        if any(not each.live for each in found):
            console.print("not yet live: the next release has it, or now: croupier constraints release")
    if any(each.broken for each in found):
        raise typer.Exit(1)


@group.command("release")
def _release(app: App = "default", as_json: AsJson = False) -> None:
    """Make the rules and constraints of app.toml live now: a release of the same policies with them."""
    w = Workspace.known(app)
    from croupier.serving.operate.catalogue_release import release_catalogue

    number = release_catalogue(w, clock.now_us(), by="operator", again=True, declared=True)
    if told(as_json, {"app": app, "release": number}):
        return
    nothing = "nothing was published: no release is there yet, or the current one has them already"
    console.print(nothing if number is None else f"release {number} has the rules and constraints of app.toml")
