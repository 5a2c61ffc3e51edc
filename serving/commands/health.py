"""`croupier health`: is my bandit well today, and if not, what do I do."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from croupier.features.clock import now_us
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.serving.commands.silence import silence
from croupier.serving.commands.telling import App, AsJson, prepared, told

health = typer.Typer()
health.command("silence")(silence)


@health.callback(invoke_without_command=True)
def _health(
    ctx: typer.Context,
    app: App = "",
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option("--html", dir_okay=False, help="write the page here")] = None,
    show: Annotated[bool, typer.Option("--open", help="write the page, and open it in a browser")] = False,
) -> None:
    """Is my bandit well today, and if not, what do I do: the cause first. Without an app, every app of this
    installation in a sentence, the gravest first; --html and --open then write copies of their newest pages beside the
    landing page. Exit code 0: fine, 1: something to watch, 2: act, or an app could not be examined."""
    if ctx.invoked_subcommand is not None:
        return
    code, page = _one(app, as_json, html, show) if app else _all(as_json, html, show)
    if show and page is not None:
        webbrowser.open(page.absolute().as_uri())
    raise typer.Exit(code)


def _one(app: str, as_json: bool, html: Path | None, show: bool) -> tuple[int, Path | None]:
    """Tells of one app; returns the exit code, and the page if one was asked for."""
    from croupier.serving.health import told as words
    from croupier.serving.health.examine import examine
    from croupier.serving.health.verdict_page import render_page

    w = Workspace.known(app)
    found = examine(w)
    page = html or (w.home / layout.report(layout.HEALTH_PAGE) if show else None)
    prepared(page)
    if page is not None:
        page.write_text(render_page(found), encoding="utf-8")
    _say(as_json, words.as_json(found), words.lines(found), page)
    return words.exit_code(found), page


def _all(as_json: bool, html: Path | None, show: bool) -> tuple[int, Path | None]:
    """Tells of every declared app; returns the exit code, and the landing page if one was asked for."""
    from croupier.serving.health import landing, landing_page

    var, names = Settings().var, landing.apps()
    if not names:
        raise ValueError(
            f"apps: found none in {var.absolute()}, expected a folder with {layout.APP_TOML} for each; "
            "CROUPIER_VAR chooses another place, `croupier init` makes an app"
        )
    found = landing.examined(names)
    page = html or (var / layout.OVERVIEW if show else None)
    if page is not None:
        landing_page.write(found, page, now=now_us())
    lines = [landing.summary(found), *(f"{o.level:7}  {o.sentence}" for o in found)]
    _say(as_json, landing.as_json(found), lines, page)
    for o in found:
        if o.failed:
            print(f"croupier: {o.sentence}", file=sys.stderr)
    return landing.exit_code(found), page


def _say(as_json: bool, found: dict[str, Any], lines: list[str], page: Path | None) -> None:
    here = {"page": page.absolute()} if page is not None else {}
    if not told(as_json, found | here):
        print("\n".join([*lines, *map(str, here.values())]))
