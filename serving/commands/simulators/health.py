"""`croupier simulate linear`: how often health finds that a linear champion fails, and claims it wrongly."""

from pathlib import Path
from typing import Annotated

import typer

from croupier.serving.commands.telling import Out, prepared, to_stdout, written

Page = Annotated[Path | None, typer.Option(help="put the table into this Markdown page")]


def simulate_linear(
    *,
    data: Annotated[
        Path | None,
        typer.Option(envvar="CROUPIER_DATA", help="folder of magic.npz, statlog_shuttle.npz, mushroom.npz (X and y)"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="runs of each problem")] = 20,
    first_seed: Annotated[int, typer.Option(min=0, help="the runs' seeds count from here")] = 0,
    out: Out = None,
    page: Page = None,
) -> None:
    """Logs of a linear policy, on problems that are linear and that are not: how often health says "try
    neural_linear" after 1,000, 2,000 and 5,000 decisions."""
    from tqdm import tqdm

    from croupier.models.simulation import marked
    from croupier.models.simulation.health import linear_failure

    prepared(out, page)
    found = linear_failure.problems(data)
    with tqdm(total=len(found) * seeds, unit="run", disable=None) as bar:
        counted = linear_failure.count(found, seeds=seeds, first=first_seed, step=bar.update)
    if not to_stdout(out):
        print(linear_failure.markdown(counted))
    written(out, counted)
    if page is not None:
        marked.put(page, linear_failure.MARK, linear_failure.markdown(counted))
