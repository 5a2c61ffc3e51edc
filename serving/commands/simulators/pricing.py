"""`croupier simulate pricing`: what is earned while a hotel's rates are learnt."""

from typing import Annotated

import typer

from croupier.serving.commands.simulators.health import Page, count
from croupier.serving.commands.telling import Out, prepared, to_stdout, written


def simulate_pricing(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="hotels, each with every policy")] = 20,
    first_seed: Annotated[int, typer.Option(min=0, help="the hotels' seeds count from here")] = 0,
    rounds: Annotated[int, typer.Option(min=100, help="guests of each hotel")] = 5_000,
    out: Out = None,
    page: Page = None,
) -> None:
    """Fifteen rates, guests who book less the dearer they are: the regret of demand that falls with the price, of
    demand in no order, and of policies for which a rate is any arm."""
    from tqdm import tqdm

    from croupier.models.simulation import marked, pricing

    prepared(out, page)
    with tqdm(total=seeds * len(pricing.CONTENDERS), unit="run", disable=None) as bar:
        found = pricing.count(seeds=seeds, first=first_seed, rounds=rounds, step=lambda runs: count(bar, runs))
    if not to_stdout(out):
        print(pricing.markdown(found), end="")
    written(out, found)
    if page is not None:
        marked.put(page, pricing.MARK, pricing.markdown(found))
