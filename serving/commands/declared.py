"""`croupier app …`: the declaration of a bandit, app.toml: begin one, check it, see what a change of it will do."""

from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

from croupier.features import clock
from croupier.features.reference import page, starter
from croupier.features.reference.keys import tables
from croupier.features.spec import SpecError
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import App, AsJson, encoded, told

group = typer.Typer(no_args_is_help=True, help="app.toml: begin one, check it, see what a change of it will do.")
console = Console(markup=False, highlight=False, soft_wrap=True)


@group.command("init")
def _init(app: App = "default", force: bool = False, as_json: AsJson = False) -> None:
    """Write an app.toml with every key and its default, commented out. (`croupier init LOG` guesses one from a log.)"""
    w = Workspace.open(app)
    target = w.home / "app.toml"
    if target.exists() and not force:
        raise ValueError(f"{target} is there already; edit it, or say --force to write it anew")
    w.home.mkdir(parents=True, exist_ok=True)
    target.write_text(starter.text(app), encoding="utf-8")
    if not told(as_json, {"app": app, "app_toml": target}):
        console.print(f"wrote {target}; then write catalogue.json beside it, and: croupier app check --app {app}")


@group.command("check")
def _check(app: App = "default", as_json: AsJson = False) -> None:
    """Is app.toml valid, what serves, what can be trained, and what will the next scheduled run do? Exit code 1: there
    is a problem."""
    from croupier.serving.operate import app_check

    w = Workspace.known(app)
    try:
        found = app_check.check(w, now=clock.now())
    except SpecError as error:
        found = app_check.invalid(error)
    if not told(as_json, {"valid": bool(found.facts), "problems": found.problems, **found.facts}):
        for line in app_check.sentences(found) if found.facts else ():
            console.print(line)
        for problem in found.problems:
            console.print(f"PROBLEM: {problem}", style="red")
    if found.problems:
        raise typer.Exit(1)


@group.command("diff")
def _diff(app: App = "default", as_json: AsJson = False) -> None:
    """Says what app.toml says now that it did not say at the last training, and what that will do."""
    from croupier.serving.operate import app_diff

    found = app_diff.diff(Workspace.known(app))
    if told(as_json, asdict(found)):
        return
    if not found.since:
        console.print("nothing was made with an earlier app.toml yet: a change costs nothing")
        return
    if not found.changes and not found.blocked:
        console.print(f"app.toml says what it said at {found.since}")
        return
    table = Table("key", f"at {found.since}", "now")
    for key, values in found.changes.items():
        table.add_row(key, *("–" if value is None else encoded(value).strip() for value in values))
    console.print(table)
    for effect in found.effects:
        console.print(effect)
    if found.blocked:
        console.print(f"TRAININGS WILL BE REFUSED: {found.blocked}", style="red")


@group.command("reference")
def _reference(as_json: AsJson = False) -> None:
    """Every key of app.toml: type, unit, default and meaning, as Markdown (features/APP_TOML.md)."""
    rows = [{"table": table.heading, **asdict(key)} for table in tables() for key in table.keys]
    for row in rows:
        row["required"] = row["default"] is ...
        row["default"] = None if row["default"] is ... else row["default"]
    if not told(as_json, rows):
        print(page.markdown(), end="")
