"""`croupier quarantine list | release | drop`: rows that broke a rule, and what a person decides about them."""

import getpass
import socket
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from croupier.features.clock import now_us
from croupier.features.interactions import quarantine_decisions as decisions
from croupier.features.utc import from_us
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import App, AsJson, told

app = typer.Typer(no_args_is_help=True, help="Rows that broke a rule of the data: see, let in, leave out.")
Hour = Annotated[str, typer.Option(help="of UTC, such as 2026-11-01T07; `list` names them")]
Reason = Annotated[str, typer.Option(help="why: kept with your name beside the hour's verdict")]
By = Annotated[str, typer.Option(help="who decides (default: you, on this host)")]
console = Console(markup=False, highlight=False)


@app.command("list")
def _list(app: App = "default", as_json: AsJson = False) -> None:
    """Hours with rows in quarantine. Stopped rows keep their whole hour back; held ones are left out of it."""
    found = decisions.entries(Workspace.known(app).store)
    if told(as_json, [entry.to_dict() for entry in found]):
        return
    table = Table("hour", "rows", "rules", "such as", "waits", "last")
    for entry in found:
        states = ", ".join(f"{n} {state}" for state, n in entry.rows.items())
        rules = ", ".join(f"{rule} × {n}" for rule, n in entry.rules.items())
        table.add_row(entry.hour, states, rules, ", ".join(entry.examples), "yes" if entry.waits else "", _last(entry))
    console.print(table if found else "nothing is in quarantine")


@app.command()
def release(hour: Hour, reason: Reason, app: App = "default", by: By = "", as_json: AsJson = False) -> None:
    """Take the rows of an hour in again, each reward clipped to the declared range: declare a wider one first, if the
    values are right. The next build joins and validates the hour anew."""
    _decided(decisions.release, "released", (app, hour, reason, by), as_json=as_json)


@app.command()
def drop(hour: Hour, reason: Reason, app: App = "default", by: By = "", as_json: AsJson = False) -> None:
    """Leave the rows of an hour out for good; the log keeps them, the account counts them, and the rest goes on."""
    _decided(decisions.drop, "dropped", (app, hour, reason, by), as_json=as_json)


def _decided(decide: Callable[..., int], word: str, asked: tuple[str, str, str, str], *, as_json: bool) -> None:
    app, hour, reason, by = asked
    who = by or f"{getpass.getuser()}@{socket.gethostname()}"
    rows = decide(Workspace.known(app).store, hour, by=who, reason=reason, now=now_us())
    if not told(as_json, {"hour": hour, "action": word, "rows": rows, "by": who, "reason": reason}):
        console.print(
            f"{hour}: {rows:,} rows {word} by {who}; the next `croupier turn` (or build_features) takes it up anew"
        )


def _last(entry: decisions.Entry) -> str:
    if not entry.last:
        return ""
    return f"{from_us(entry.last['at']):%Y-%m-%d %H:%M} {entry.last['action']} by {entry.last['by']}: " + str(
        entry.last.get("reason", "broke a rule")
    )
