"""`croupier gate plan`: the least lift that a gate sees, and the days it takes, before anybody waits for it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from croupier.features.schema import CANDIDATE
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.models.gate.planning import ALWAYS, Known, plan
from croupier.serving.commands.telling import App, AsJson, told

console = Console(markup=False)


def gate_plan(
    app: App = "default",
    lift: Annotated[float, typer.Option(min=1e-6, help="to be seen, as a share of what the champion earns")] = 0.10,
    days: Annotated[float, typer.Option(min=1e-3, help="of traffic, for the least lift that is seen")] = 14.0,
    as_json: AsJson = False,
) -> None:
    """Rows and days until a lift is seen with probability .8, and the least lift seen in some days, in each mode of the
    gate. From the app's newest verdict: its spread, its traffic, its candidates."""
    w = Workspace.known(app)
    source = newest(w.home)
    body = json.loads(source.read_text())
    found = planned(body.get("evaluation", body), lift=lift, days=days, looks=w.spec.gate.looks)
    if not found:
        raise ValueError(f"{source}: found no candidate whose spread is known, expected one; run train_and_gate again")
    if not told(as_json, {"verdict": source.absolute(), "lift": lift, "days": days, "candidates": found}):
        for name, modes in found.items():
            console.print(_table(name, modes, lift, days))


def newest(home: Path) -> Path:
    """The newest verdict of an app on this host. Raises ValueError where there is none."""
    verdicts = home.glob(layout.report(layout.gate_report("*", layout.VERDICT_FILE)))
    found = sorted(verdicts, key=lambda path: path.stat().st_mtime)
    if not found:
        below = (home / layout.report(layout.gate_report("*"))).parents[1]
        raise ValueError(f"evaluation: found no verdict under {below}; `croupier turn` (or train_and_gate) makes one")
    return found[-1]


def planned(body: Mapping[str, Any], *, lift: float, days: float, looks: int) -> dict[str, list[dict[str, Any]]]:
    """By candidate, one dict a mode, from the JSON of an evaluation."""
    out = {}
    for name, policy in body["policies"].items():
        raw = policy["details"].get("known") if policy["role"] == CANDIDATE else None
        if raw is None or not raw["sd"]:
            continue
        known = Known(**{key: value for key, value in raw.items() if value is not None})  # JSON has no infinity
        rows = days * known.per_day * known.judged
        if rows < 1:
            raise ValueError(
                f"traffic: found {known.per_day:g} decisions a day in the verdict, expected more than none"
            )
        out[name] = plan(known, gap=lift * abs(known.value), rows=rows, looks=looks)
    return out


def _table(name: str, modes: list[dict[str, Any]], lift: float, days: float) -> Table:
    columns = "mode", f"judged rows for {lift:+.0%}", "days", f"least lift in {days:g} days"
    table = Table(*columns, title=f"{name}: seen with probability .8")
    for m in modes:
        named = m["mode"] if m["mode"] == ALWAYS else f"{m['mode']}, {m['looks']} looks"
        table.add_row(named, f"{m['rows']:,.0f}", f"{m['days']:,.1f}", f"{m['smallest_share']:+.1%}")
    return table
