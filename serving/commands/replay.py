"""`croupier replay EVENT_ID`: how a logged decision came about, derived anew; `--unit U` finds a unit's decisions."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from croupier.features.ids import hash_unit
from croupier.features.log.spool import Spool
from croupier.features.log.unit_decisions import decisions_of
from croupier.features.schema import Decision
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.utc import from_us
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import App, AsJson, told

if TYPE_CHECKING:
    from croupier.serving.decide.replay import ReplayStep

app = typer.Typer(help="Re-derive a logged decision: release, encoder, posterior, pmf, draw.")
EventId = Annotated[str, typer.Argument(help="the event_id that select() answered")]
Unit = Annotated[str, typer.Option(help="list the decisions of this unit instead: its id as the application sends it")]
Most = Annotated[int, typer.Option(min=1, help="with --unit: the newest so many")]


@app.command(name="replay")
def run(
    event_id: EventId = "", app: App = "default", unit: Unit = "", most: Most = 20, as_json: AsJson = False
) -> None:
    """Re-derive one logged decision and print every step. Exit code 1 when a step differs.

    With --unit: the unit's decisions in this host's log, newest last, so that one can be chosen."""
    if bool(event_id) == bool(unit):
        raise typer.BadParameter("say which decision by EVENT_ID, or whose decisions to list by --unit")
    w = Workspace.known(app)
    spool = w.spool()
    try:
        if unit:
            _of_unit(w, spool, unit, most, as_json)
        else:
            _of_event(w, spool, event_id, as_json)
    finally:
        spool.close()


def _of_event(w: Workspace, spool: Spool, event_id: str, as_json: bool) -> None:
    from croupier.serving.allocation import replayed  # torch is among what they need
    from croupier.serving.decide import replay
    from croupier.serving.release import bundle_store

    decision = spool.find([event_id]).get(event_id)
    if decision is None:
        raise KeyError(f"event {event_id}: not in the log of this host ({spool.path})")
    load = replay.loader(w.home, lambda n, folder: bundle_store.download(w.store, n, folder, app=w.home.name))
    spec = w.spec.reward if (w.home / layout.APP_TOML).exists() else RewardSpec()
    findings = replayed.replay(decision, load=load, spool=spool, spec=spec)
    same = all(finding.holds for finding in findings)
    if not told(as_json, _described(decision) | {"same": same, "steps": [asdict(f) for f in findings]}):
        _print(decision, findings)
    if not same:
        raise typer.Exit(1)


def _print(decision: Decision, findings: "Sequence[ReplayStep]") -> None:
    console = Console()
    made = f"{decision.role} {decision.policy}: {decision.arm} with probability {decision.propensity:.6g}"
    console.print(escape(made))
    for finding in findings:
        verdict = "[green]same[/]" if finding.holds else "[red]DIFFERS[/]"
        console.print(f"  {verdict}  {finding.step}: {escape(finding.detail)}")


def _of_unit(w: Workspace, spool: Spool, unit: str, most: int, as_json: bool) -> None:
    rows = [_described(each) for each in decisions_of(spool, hash_unit(w.unit_key, unit), most=most)]
    if told(as_json, rows):
        return
    if not rows:
        print(f"no decision of this unit in the log of this host ({spool.path})")
        return
    whole = Column("event_id", overflow="fold")  # what is asked next is copied from here
    table = Table("at (UTC)", whole, "arm", "probability", "release", "role", "policy")
    for row in rows:
        shown = (row["arm"], f"{row['propensity']:.6g}", str(row["release"]), row["role"], row["policy"])
        table.add_row(row["at"][:19].replace("T", " "), row["event_id"], *map(escape, shown))
    Console().print(table)


def _described(decision: Decision) -> dict[str, Any]:
    names = ("event_id", "arm", "propensity", "release", "role", "policy", "stage")
    at = from_us(decision.at).isoformat()
    return {"at": at} | {name: getattr(decision, name) for name in names}
