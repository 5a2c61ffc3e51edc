"""`croupier init`, `import`, `export`, `report`: an app from a log of your own, its log in and out, its pages."""

import shlex
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from croupier.features import clock
from croupier.features.build import released_encoder
from croupier.features.exchange.dsjson import export as dsjson
from croupier.features.exchange.record import explained
from croupier.features.exchange.sources import JSON
from croupier.features.interactions.parts.interval_rows import interval_rows
from croupier.features.interactions.versions import read_interactions
from croupier.features.quality import drift
from croupier.features.quality.pages import health_page
from croupier.features.store import layout
from croupier.features.utc import from_us
from croupier.features.workspace import Workspace
from croupier.serving.commands import turn
from croupier.serving.commands.telling import App, AsJson, RoleColumn, roles, told
from croupier.serving.frames import own_log

init, import_, export, report = typer.Typer(), typer.Typer(), typer.Typer(), typer.Typer()
LogFile = Annotated[
    Path, typer.Argument(help="a table as .parquet, .feather, .csv, .tsv or JSON rows; or DSJSON as .json")
]
Days = Annotated[int, typer.Option(min=0, max=100_000, help="of the log to look at; 0: all of it")]
console = Console(soft_wrap=True, highlight=False, markup=False)
LONG_AGO, FAR = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@init.command("init")
def _init(
    log: LogFile, app: App = "default", column: RoleColumn = None, force: bool = False, as_json: AsJson = False
) -> None:
    """Write app.toml and catalogue.json from a sample of your own log, and say what was guessed."""
    w = Workspace.open(app)
    found = own_log.declare(w, log, roles(column), anew=force)
    if told(as_json, {"app": app, **asdict(found)}):
        return
    for note in found.notes:
        console.print(f"  {note}")
    then = f"croupier import {shlex.quote(str(log))} --app {shlex.quote(app)}"
    console.print(f"wrote {found.app_toml} and catalogue.json ({found.arms} arms); then: {then}")
    if "var" not in w.settings.model_fields_set:
        console.print(
            f"apps are looked for in var below the current folder; for every folder: export "
            f"CROUPIER_VAR={w.settings.var.absolute()}"
        )


@import_.command("import")
def _import(log: LogFile, app: App = "default", column: RoleColumn = None, as_json: AsJson = False) -> None:
    """Append a log of your own (Parquet, CSV or DSJSON); columns as `init` found them. Twice changes nothing."""
    found = own_log.append(Workspace.meant(app), log, roles(column))
    done = found.done
    first, last = (f"{from_us(at):%Y-%m-%dT%H:%M}" for at in (done.start, done.end))
    hours = {"app": app, "from": f"{first}Z", "to": f"{last}Z"}
    if told(as_json, hours | asdict(done) | {"reasons": found.reasons, "warnings": found.warnings}):
        _or_refused(log, found.nothing)
        return
    for note in found.warnings:
        console.print(f"  {note}", style="yellow")
    console.print(
        f"{done.decisions:,} new decisions, {done.rewards:,} new rewards, {done.repeated:,} rows repeat "
        f"what the log holds, {done.skipped:,} rows skipped"
    )
    for line in own_log.unkept(done):
        console.print(f"  {line}", style="yellow")
    if not found.nothing:
        console.print(f"decided from {first} to {last} UTC: run the build_features DAG for those hours")
        console.print(f"  or, without Airflow: {turn.over(app, done.start)}")
    for reason, n in found.reasons.items():
        console.print(f"  skipped {n:,}: {explained(reason)}")
    _or_refused(log, found.nothing)


@export.command("export")
def _export(
    target: Annotated[Path, typer.Argument(help="the file to write: .parquet, or .json, .jsonl, .dsjson")],
    app: App = "default",
    start: Annotated[datetime, typer.Option(help="UTC")] = LONG_AGO,
    end: Annotated[datetime, typer.Option()] = FAR,
    as_json: AsJson = False,
) -> None:
    """Write joined interactions, all by default: Parquet, or DSJSON, which `vw --dsjson` trains on unchanged."""
    if target.suffix not in ("", ".parquet", *JSON):
        raise ValueError(
            f"{target}: found ending {target.suffix!r}, expected .parquet for a table, or one of "
            f"{', '.join(JSON)} for DSJSON"
        )
    w = Workspace.known(app)
    rows = read_interactions(w.store, start=_utc(start), end=_utc(end)).sort("at", "event_id")
    if rows.is_empty():
        raise ValueError(
            f"{app}: found no joined interactions then; `croupier turn` (in Airflow: build_features) joins them first"
        )
    try:
        with target.open("wb") as file:
            if target.suffix == ".parquet":
                rows.write_parquet(file)
            else:
                file.writelines(dsjson.export(rows, w.arms()))
    except OSError as error:
        raise OSError(f"{target}: {error.strerror}; what is in it is not the whole") from error
    if told(as_json, {"app": app, "interactions": len(rows), "file": target.absolute()}):
        return
    then = (
        "arms' own features are in catalogue.json"
        if target.suffix == ".parquet"
        else (f"train with: vw --dsjson --cb_explore_adf -q CA -d {target}")
    )
    console.print(f"{len(rows):,} interactions in {target}; {then}")


@report.command("report")
def _report(app: App = "default", days: Days = 0, as_json: AsJson = False) -> None:
    """Write the health page of the log, and print the addresses of the newest pages of each kind."""
    w = Workspace.known(app)
    folder = w.home / layout.REPORTS_HERE
    now = clock.now()
    start = LONG_AGO if days == 0 else now - timedelta(days=days)
    with interval_rows(w.store, start=start, end=FAR) as rows:
        if len(rows):
            health_page.write(drift.health(rows, encoder=released_encoder(w)), folder / layout.HEALTH)
    found = sorted(folder.glob(f"*/**/{layout.PAGE}"), key=lambda p: p.stat().st_mtime)
    pages = {p.relative_to(folder).parts[0]: p for p in found if layout.DATA_DOCS not in p.parts}
    if told(as_json, {kind: page.as_uri() for kind, page in pages.items()}):
        return
    for kind, page in pages.items():
        console.print(f"{kind}: {page.as_uri()}")
    if not pages:
        console.print(f"no report yet under {folder}: `croupier turn` (in Airflow: build_features) writes them")


def _or_refused(log: Path, nothing: bool) -> None:
    if nothing:
        raise ValueError(f"{log}: found no row that could be taken, for the reasons above; mend the log or app.toml")


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
