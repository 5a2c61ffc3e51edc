"""`croupier replay EVENT_ID`: how a logged decision came about, derived anew; `--unit U` finds a unit's decisions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

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

console = Console(markup=False, highlight=False)
app = typer.Typer(help="Re-derive a logged decision: release, encoder, posterior, pmf, draw.")
EventId = Annotated[str, typer.Argument(help="the event_id that select() answered")]
Unit = Annotated[str, typer.Option(help="list the decisions of this unit instead: its id as the application sends it")]
Others = Annotated[
    list[Path],
    typer.Option("--log", help="the log of another host of the fleet, its spool/log.db or a copy; once for each host"),
]
Most = Annotated[int, typer.Option(min=1, help="with --unit: the newest so many")]


@app.command(name="replay")
def run(
    event_id: EventId = "",
    app: App = "default",
    unit: Unit = "",
    most: Most = 20,
    *,
    log: Others = [],  # noqa: B006 - typer reads it, nobody writes it
    as_json: AsJson = False,
) -> None:
    """Re-derive one logged decision and print every step. Exit code 1 when a step differs.

    Where hosts share what they learn (CROUPIER_REDIS), name the logs of the other hosts by --log; any of them may have
    decided.

    With --unit: the unit's decisions in this host's log, newest last, so that one can be chosen."""
    if bool(event_id) == bool(unit):
        raise typer.BadParameter("say which decision by EVENT_ID, or whose decisions to list by --unit")
    w = Workspace.known(app)
    spool = w.spool()
    try:
        if unit:
            _of_unit(w, spool, unit, most, as_json)
        else:
            with _named(log) as others:
                _of_event(w, [spool, *others], event_id, as_json)
    finally:
        spool.close()


@contextmanager
def _named(paths: Sequence[Path]) -> Iterator[list[Spool]]:
    """The logs of other hosts. Raises ValueError where a file is not there."""
    for path in paths:
        if not path.is_file():
            raise ValueError(f"--log {path}: found no file, expected another host's spool/log.db or a copy of it")
    spools = [Spool(path) for path in paths]
    try:
        yield spools
    finally:
        for each in spools:
            each.close()


def _of_event(w: Workspace, spools: Sequence[Spool], event_id: str, as_json: bool) -> None:
    from croupier.models.constraints import kept_multipliers
    from croupier.serving.allocation import replayed  # scipy is among what they need
    from croupier.serving.decide import replay
    from croupier.serving.release import bundle_store

    holders = [(each, found[event_id]) for each in spools if (found := each.find([event_id]))]
    if not holders:
        others = " nor in those of --log" if len(spools) > 1 else ""
        raise KeyError(f"event {event_id}: not in the log of this host ({spools[0].path}){others}")
    spool, decision = min(holders, key=lambda held: held[1].at)  # asked for at two hosts, the earlier counts
    logs = {each.id: each for each in spools}.get
    load = replay.loader(w.home, lambda n, folder: bundle_store.download(w.store, n, folder, app=w.home.name))
    spec = w.spec.reward if (w.home / layout.APP_TOML).exists() else RewardSpec()
    prices = partial(kept_multipliers.of_version, w.store)
    findings = replayed.replay(decision, load=load, spool=spool, spec=spec, prices=prices, logs=logs)
    same = all(finding.holds for finding in findings)
    if not told(as_json, _described(decision) | {"same": same, "steps": [asdict(f) for f in findings]}):
        _print(decision, findings)
    if not same:
        raise typer.Exit(1)


def _print(decision: Decision, findings: "Sequence[ReplayStep]") -> None:
    console.print(f"{decision.role} {decision.policy}: {decision.arm} with probability {decision.propensity:.6g}")
    for finding in findings:
        verdict = ("same", "green") if finding.holds else ("DIFFERS", "red")
        console.print(Text.assemble("  ", verdict, f"  {finding.step}: {finding.detail}"))


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
        table.add_row(row["at"][:19].replace("T", " "), row["event_id"], *shown)
    console.print(table)


def _described(decision: Decision) -> dict[str, Any]:
    names = ("event_id", "arm", "propensity", "release", "role", "policy", "stage")
    at = from_us(decision.at).isoformat()
    return {"at": at} | {name: getattr(decision, name) for name in names}
