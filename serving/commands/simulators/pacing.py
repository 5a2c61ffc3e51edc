"""`croupier simulate pacing`: do prices that are moved each hour keep a day's budget and long-run floors?"""

from typing import Annotated

import typer

from croupier.serving.commands.simulators.health import Page, count
from croupier.serving.commands.telling import Out, prepared, to_stdout, written


def simulate_pacing(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="shops, each paced and throttled")] = 10,
    first_seed: Annotated[int, typer.Option(min=0, help="the shops' seeds count from here")] = 0,
    days: Annotated[
        int, typer.Option(min=1, help="days of each shop; shocks are on days 20 to 22, and 35 and 36")
    ] = 50,
    out: Out = None,
    page: Page = None,
) -> None:
    """A budget a day, an exposure floor and parity, by multipliers that are moved by the matured log: error of spend,
    share of the best fixed multipliers' reward, floors met; beside greedy throttling, with each constraint's price."""
    from tqdm import tqdm

    from croupier.models.simulation import marked, pacing

    prepared(out, page)
    with tqdm(total=seeds, unit="shop", disable=None) as bar:
        found = pacing.count(seeds=seeds, first=first_seed, days=days, step=lambda shops: count(bar, shops))
    if not to_stdout(out):
        print(pacing.markdown(found), end="")
    written(out, found)
    if page is not None:
        marked.put(page, pacing.MARK, pacing.markdown(found))
