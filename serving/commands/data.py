"""`croupier account`, `croupier restatements`, `croupier forget`: look into the log, and take a unit out of it."""

import socket
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from croupier.features import clock
from croupier.features.ids import hash_unit
from croupier.features.interactions import versions
from croupier.features.interactions.account import Account
from croupier.features.interactions.privacy import forget as forget_unit
from croupier.features.interactions.restate import Restatement
from croupier.features.interactions.restate import restatements as find_restatements
from croupier.features.utc import from_us
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import App, AsJson, told

account = typer.Typer(help="What became of every event.")
restatements = typer.Typer(help="Hours that changed after they were joined, and the verdicts that had used them.")
forget = typer.Typer(help="Remove a unit from the log and from all that was made of it.")
console = Console(markup=False)


@account.command("account")
def _account(app: App = "default", as_json: AsJson = False) -> None:
    """Events in this host's spool, and the account of all joined hours."""
    w = Workspace.known(app)
    with closing(w.spool()) as spool:
        here = spool.counts()
    every = {"start": datetime(1970, 1, 1, tzinfo=UTC), "end": datetime(9999, 1, 1, tzinfo=UTC)}
    hours = versions.newest(w.store, **every).values()
    total = sum((Account.from_dict(version.account) for version in hours), Account()).checked()
    if told(as_json, {"app": app, "spool": here, "hours": len(hours), "account": total.to_dict()}):
        return
    said = ", ".join(f"{n:,} {what}" for what, n in here.items())
    console.print(f"this host's spool: {said}")
    table = Table("events", "count", title=f"{app}: {len(hours)} hours joined")
    for name, count in total.to_dict().items():
        table.add_row(name, f"{count:,}")
    console.print(table)


@restatements.command("restatements")
def _restatements(app: App = "default", as_json: AsJson = False) -> None:
    """Every hour that has more than one version, what the new one changed, and who had used the one before."""
    table = Table("hour", "version", "joined at", "changed", "verdicts that used an older version")
    restated = find_restatements(Workspace.known(app).store)
    if told(as_json, [_restatement(found) for found in restated]):
        return
    for found in restated:
        v = found.version
        changed = ", ".join(f"{name} {change:+d}" for name, change in v.changed.items())
        joined_at, users = f"{from_us(v.joined_at):%Y-%m-%d %H:%M}", ", ".join(found.used_by)
        table.add_row(v.hour, str(v.version), joined_at, changed, users)
    console.print(table if table.row_count else "no hour was restated")


def _restatement(found: Restatement) -> dict[str, Any]:
    v = found.version
    facts = {"hour": v.hour, "version": v.version, "joined_at": from_us(v.joined_at).isoformat()}
    return facts | {"changed": v.changed, "used_by": found.used_by}


@forget.command("forget")
def _forget(
    unit: Annotated[str, typer.Argument(help="the raw unit id, as the application sends it")],
    app: App = "default",
    hashed: Annotated[bool, typer.Option(help="UNIT is the hash that the log holds")] = False,
    as_json: AsJson = False,
) -> None:
    """Every row of a unit, and every reward of its decisions, is deleted; the hours it touched are restated."""
    w = Workspace.known(app)
    unit_id = unit if hashed else hash_unit(w.unit_key, unit)
    host = w.settings.host or socket.gethostname()
    with closing(w.spool()) as spool:
        most = w.settings.join_rows
        done = forget_unit(
            w.store, spool, w.spec.reward, unit_id=unit_id, host=host, now=clock.now(), reports=w.with_rows, most=most
        )
    if told(as_json, {"app": app, "rows": done.rows, "objects": done.objects, "hours": done.hours}):
        return
    console.print(
        f"forgotten: {done.rows} rows of this host, {done.objects} objects rewritten, {len(done.hours)} hours restated"
    )
    if len(done.hours) or done.rows:
        console.print("Other hosts hold their own spools: run this on each of them too.")
