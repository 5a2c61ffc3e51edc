"""`croupier capacity`: what a decision costs on this machine, and what a rate of them needs."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from croupier.serving.commands.telling import AsJson, told

app = typer.Typer()
console = Console(soft_wrap=True, highlight=False, markup=False)
Rates = Annotated[list[float] | None, typer.Option("--rate", help="decisions a second; may be repeated")]
Decisions = Annotated[int, typer.Option(min=1000, help="of the log that is shipped, built and trained on")]
Asked = Annotated[int, typer.Option(min=10, help="decisions that are asked for, one by one")]
Cores = Annotated[int, typer.Option(min=1, help="of a serving host")]
Kept = Annotated[int, typer.Option(min=1, help="for how long the store keeps the log")]


@app.command("capacity")
def _capacity(
    *,
    rate: Rates = None,
    decisions: Decisions = 20_000,
    asked: Asked = 2_000,
    cores: Cores = 8,
    kept_days: Kept = 400,
    as_json: AsJson = False,
) -> None:
    """Measure what a decision costs on this machine, and say what so many a second need. In CPU time and bytes; hosts,
    storage, requests, money for 1,000, 10,000 and 100,000 a second, or --rate. An app of its own is made in a temporary
    folder, and deleted. What is assumed beside what is measured: --json, under "assumed"."""
    from croupier.serving.capacity.constants import measured  # the learners' libraries, once it is known what is asked
    from croupier.serving.capacity.plan import Assumed, plan, refuse_impossible

    rates = rate or [1e3, 1e4, 1e5]
    for each in rates:
        refuse_impossible(each)
    assumed = Assumed(cores=cores, kept_days=kept_days)
    constants = measured(decisions, asked)
    plans = [plan(constants, assumed, each) for each in rates]
    if told(as_json, {"measured": asdict(constants), "assumed": asdict(assumed), "plans": plans}):
        return
    for name, value in asdict(constants).items():
        console.print(f"{name:>13}  {value:,.1f}" if isinstance(value, float) else f"{name:>13}  {value:,}")
    console.print(_table(plans))
    if not all(each["loop_keeps_up"] for each in plans):
        console.print("loop too slow: the hourly loop is one process, and needs more than one core at that rate")


def _table(plans: list[dict[str, object]]) -> Table:
    table = Table(
        "decisions/s", "hosts", "by 64", "loop cores", "store GB/day", "store TB", "volume GB/host", "$ a month"
    )
    for p in plans:
        late = "" if p["loop_keeps_up"] else " (too slow)"
        counts = (f"{p[name]:,.0f}" for name in ("rate", "hosts", "hosts_64"))
        terabytes = float(str(p["store_gb"])) / 1e3
        sizes = f"{p['store_gb_a_day']:,.1f}", f"{terabytes:,.1f}", f"{p['volume_gb_a_host']:,.0f}"
        table.add_row(*counts, f"{p['loop_cores']:.2f}{late}", *sizes, f"{p['month_total']:,.0f}")
    return table
