"""`croupier simulate slates`: how often the gate is wrong about slates, in a world whose truth is known."""

from pathlib import Path
from typing import Annotated

import typer

from croupier.serving.commands.telling import Out, prepared, to_stdout, written


def simulate_slates(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="worlds, each with six logs")] = 100,
    first_seed: Annotated[int, typer.Option(min=0, help="the worlds' seeds count from here")] = 0,
    out: Out = None,
    page: Annotated[Path | None, typer.Option(help="put the table into this Markdown page")] = None,
    entry: Annotated[
        bool, typer.Option("--entry", help="by the scheduled gate's entry, beside slots as single decisions")
    ] = False,
) -> None:
    """Slates of 3 out of 8 arms shown to users who go down the slate and leave after a click: how often the gate,
    judging by cascade-DR, promotes a candidate that is worth the same, and one that is worth more; beside it, item-wise
    IPS on the same logs. With --entry the logs are rows of slots, and are judged as a training judges them."""
    from tqdm import tqdm

    from croupier.models.simulation import marked
    from croupier.models.simulation.slates import entry_rates, slate_rates

    prepared(out, page)
    count = entry_rates.count if entry else slate_rates.count
    with tqdm(total=seeds, unit="world", disable=None) as bar:
        table = count(seeds=seeds, first=first_seed, step=bar.update)
    mark, shown, rates = (
        (entry_rates.ENTRY_MARK, entry_rates.entry_markdown(table), entry_rates.entry_rates(table))
        if entry
        else (slate_rates.MARK, slate_rates.markdown(table), slate_rates.rates(table))
    )
    if not to_stdout(out):
        print(shown)
    written(out, rates)
    if page is not None:
        marked.put(page, mark, shown)
