"""`croupier simulate health`, `simulate linear` and `simulate changes`: how often health errs, what it says of a linear
champion, and what it does when the users change."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from croupier.serving.commands.telling import Out, prepared, to_stdout, written

Page = Annotated[Path | None, typer.Option(help="put the table into this Markdown page")]


def count(bar: Any, runs: int) -> None:
    """Moves a bar of progress on."""
    bar.update(runs)


def simulate_health(
    *,
    world: Annotated[
        str,
        typer.Option(
            help="reels, news (every three days an arm goes and another comes), fresh (a new one comes) or obd (Open "
            "Bandit Dataset)"
        ),
    ] = "reels",
    seeds: Annotated[int, typer.Option(min=1, help="apps")] = 3,
    first_seed: Annotated[int, typer.Option(min=0, help="the apps' seeds count from here")] = 0,
    days: Annotated[int, typer.Option(min=17, help="of each app; the first fifteen are learnt from")] = 38,
    per_day: Annotated[
        int | None, typer.Option(min=100, help="decisions a day, on average; 12,000, and 1,429 of obd")
    ] = None,
    false_alarms: Annotated[float, typer.Option(min=0.001, help="[health] false_alarms: the budget of a month")] = 0.5,
    fault: Annotated[list[str] | None, typer.Option(help="plant this fault; may be repeated; all unless given")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="seeds at a time, each in a process")] = 1,
    out: Out = None,
    page: Page = None,
) -> None:
    """False alarms of sound months, and how soon planted faults are found and named, beside published rules. The world
    `obd` downloads its log by pip once, into var/cache."""
    from tqdm import tqdm

    from croupier.features.settings import Settings
    from croupier.features.store import layout
    from croupier.features.worlds import obd
    from croupier.models.simulation.health import rates, table
    from croupier.models.simulation.health.worlds import OBD

    prepared(out, page)
    wheel = obd.fetch(Settings().var / layout.CACHE) if world == OBD else None
    with tqdm(unit="h", disable=None) as bar:
        found: dict[str, Any] = rates.count(
            seeds=seeds,
            first=first_seed,
            days=days,
            per_day=per_day,
            false_alarms=false_alarms,
            world=world,
            wheel=wheel,
            faults=fault,
            jobs=jobs,
            progress=partial(count, bar),
        )
    if not to_stdout(out):
        print(table.markdown(found))
    written(out, found)
    if page is not None:
        table.write_page(found, page)


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
        counted = linear_failure.count(found, seeds=seeds, first=first_seed, step=lambda runs: count(bar, runs))
    if not to_stdout(out):
        print(linear_failure.markdown(counted))
    written(out, counted)
    if page is not None:
        marked.put(page, linear_failure.MARK, linear_failure.markdown(counted))


def simulate_changes(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="apps, each under four strategies")] = 20,
    first_seed: Annotated[int, typer.Option(min=0, help="the apps' seeds count from here")] = 0,
    out: Out = None,
    page: Page = None,
) -> None:
    """One segment's taste flips while a policy learns: is the hour located, and does the value recover with [health]
    on_change, beside trainings that never, and that always, discount older rows."""
    from tqdm import tqdm

    from croupier.models.simulation import marked
    from croupier.models.simulation.health import changes

    prepared(out, page)
    with tqdm(total=seeds * len(changes.STRATEGIES), unit="run", disable=None) as bar:
        found = changes.count(seeds=seeds, first=first_seed, step=lambda runs: count(bar, runs))
    if not to_stdout(out):
        print(changes.markdown(found))
    written(out, found)
    if page is not None:
        marked.put(page, changes.MARK, changes.markdown(found))
