"""`croupier replay EVENT_ID`: how a logged decision came about, derived anew."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from features.spec import RewardSpec
from features.workspace import Workspace
from serving import release_store, replay

app = typer.Typer(help="Re-derive a logged decision: release, encoder, posterior, pmf, draw.")
EventId = Annotated[str, typer.Argument(help="the event_id that select() answered")]
App = Annotated[str, typer.Option(help="which bandit: a folder under var")]


@app.command(name="replay")
def run(event_id: EventId, app: App = "default") -> None:
    """Re-derive one logged decision and print every step. Exit code 1 when a step differs."""
    w, console = Workspace.known(app), Console()
    spool = w.spool()
    decision = spool.find([event_id]).get(event_id)
    if decision is None:
        raise KeyError(f"event {event_id}: not in the log of this host ({spool.path})")
    load = replay.loader(w.home, lambda number, folder: release_store.download(w.store, number, folder))
    spec = w.spec.reward if (w.home / "app.toml").exists() else RewardSpec()
    findings = replay.replay(decision, load=load, spool=spool, spec=spec)
    made = f"{decision.role} {decision.policy}: {decision.arm} with probability {decision.propensity:.6g}"
    console.print(escape(made))
    for finding in findings:
        verdict = "[green]same[/]" if finding.holds else "[red]DIFFERS[/]"
        console.print(f"  {verdict}  {finding.step}: {escape(finding.detail)}")
    if not all(finding.holds for finding in findings):
        raise typer.Exit(1)
