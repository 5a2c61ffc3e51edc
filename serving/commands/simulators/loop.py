"""`croupier simulate loop`: a virtual month of the whole loop, or how often its scheme of retraining errs."""

import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from croupier.serving.commands.telling import Out, prepared, to_stdout, written
from croupier.serving.simulation.month import outages

SCHEMES = ("prequential", "ledger", "calendar")  # serving/simulation/month/null.py's, the first is croupier's own


def simulate_loop(
    *,
    days: Annotated[int, typer.Option(min=1, help="virtual days")] = 30,
    seeds: Annotated[int, typer.Option(min=1, help="months; with --null, null months")] = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="the months' seeds count from here")] = 1,
    per_day: Annotated[
        int | None, typer.Option(min=1, help="decisions a day, on average; 6,000 unless given, with --null 2,000")
    ] = None,
    every: Annotated[str, typer.Option(help="[training] every")] = "12h",
    window: Annotated[float, typer.Option(min=0.1, help="[training] days")] = 30.0,
    flip: Annotated[int, typer.Option(min=0, help="the day on which tastes reverse; 0: never")] = 0,
    churn: Annotated[bool, typer.Option("--churn", help="each day one arm leaves and one comes")] = False,
    null: Annotated[bool, typer.Option("--null", help="count false promotions instead, on null logs")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="with --null: two other schemes beside ours")] = False,
    better: Annotated[int, typer.Option(min=0, help="with --null: also 14 days of a +10 % family, 30,000 a day")] = 0,
    outage: Annotated[
        list[str] | None, typer.Option(help='hours in which a part is down: "airflow=100-106", "store=…", "triton=…"')
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="processes that share the months")] = 1,
    out: Out = None,
    picture: Annotated[Path | None, typer.Option(dir_okay=False, help="draw value by day here, .svg or .png")] = None,
    keep: Annotated[Path | None, typer.Option(file_okay=False, help="keep the months' apps below this folder")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the months that --keep kept")] = False,
) -> None:
    """Thirty days on a virtual clock, from `uniform` and nothing else, by the functions that the DAGs call.

    A crowd of the reels world asks and clicks; hours are built, policies trained, judged, released and rolled out when
    they are due. Printed are the shares of the best policy's lift over uniform that were served."""
    prepared(out, picture)
    tables = Console(quiet=to_stdout(out), markup=False)
    of_months = {"--flip": flip, "--churn": churn, "--outage": outage, "--picture": picture, "--keep": keep}
    if null:
        _refuse_unused(of_months | {"--resume": resume}, "--null", "null months lack them")
        told = {"days": days, "per_day": per_day or 2000, "seed": first_seed, "jobs": jobs}
        schemes = SCHEMES if compare else SCHEMES[:1]
        written(out, _null(seeds, better, told | {"schemes": schemes}, console=tables))
        return
    _refuse_unused({"--compare": compare, "--better": better}, "without --null", "they belong to null months")
    down = outages.parsed(outage or ())
    asked = {"days": days, "per_day": per_day or 6000, "every": every, "window": window, "flip": flip, "churn": churn,
             "down": down, "resume": resume}  # fmt: skip
    found = _months(seeds, first_seed, jobs, keep, asked, console=tables)
    written(out, found)
    if picture is not None:
        _draw(found["months"], picture)


def _draw(months: list[dict[str, Any]], picture: Path) -> None:
    from croupier.serving.simulation.month.picture import draw

    draw(months, picture)


def _refuse_unused(given: Mapping[str, object], beside: str, why: str) -> None:
    """Raises ValueError naming the options that this form of the command does not have."""
    named = [option for option, value in given.items() if value]
    if named:
        raise ValueError(f"{beside}: found {', '.join(named)} as well, expected none: {why}")


def _months(
    seeds: int, first_seed: int, jobs: int, keep: Path | None, asked: dict[str, Any], *, console: Console
) -> dict[str, Any]:
    if keep is None:
        _refuse_unused({"--resume": asked["resume"]}, "without --keep", "it says where the months are")
    with tempfile.TemporaryDirectory() as scratch:
        below, numbers = keep or Path(scratch), range(first_seed, first_seed + seeds)
        work = [(seed, below / f"seed{seed}", asked) for seed in numbers]
        if jobs == 1:
            found = [_month(one) for one in work]
        else:
            with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
                found = list(pool.map(_month, work))
    console.print(_table(found))
    mean = {key: sum(m[key] for m in found) / len(found) for key in ("trained_share", "lift_share_of_best")}
    by_day = [sum(m["lift_by_day"][day] for m in found) / len(found) for day in range(asked["days"])]
    return {
        **{key: value for key, value in asked.items() if key not in {"down", "resume"}},
        **mean,
        "lift_by_day": by_day,
        "releases": [len(m["releases"]) for m in found],
        "reached_100_day": [_first(m["reached_100_day"]) for m in found],
        "promoted": sum(bool(m["promoted_days"]) for m in found) / len(found),
        "months": found,
    }


def _month(work: tuple[int, Path, dict[str, Any]]) -> dict[str, Any]:
    """One month, with a progress bar of its own."""
    from croupier.serving.simulation.month import month

    seed, var, asked = work
    crowd = month.crowd_of(seed, per_day=asked["per_day"], flip=asked["flip"], churn=asked["churn"])
    plan = month.MonthPlan(
        crowd=crowd, days=asked["days"], every=asked["every"], window_days=asked["window"], down=asked["down"]
    )
    with tqdm(total=24 * asked["days"], unit="h", desc=f"seed {seed}", disable=None) as bar:
        return month.run(plan, var, resume=asked["resume"], progress=bar.update)


def _first(days: list[int]) -> int | None:
    return days[0] if days else None


def _table(months: list[dict[str, Any]]) -> Table:
    title = "share of the best policy's lift over uniform, last five days"
    table = Table("seed", "decisions", "trained on", "share", "first at 100 %", "releases", "errors", title=title)
    for m in months:
        table.add_row(
            str(m["seed"]),
            f"{m['decisions']:,.0f}",
            f"{m['trained_share']:.2%}",
            f"{m['lift_share_of_best']:.1%}",
            f"day {m['reached_100_day'][0]}" if m["reached_100_day"] else "never",
            str(len(m["releases"])),
            str(m["errors"]),
        )
    return table


def _null(seeds: int, better: int, asked: dict[str, Any], *, console: Console) -> dict[str, Any]:
    from croupier.serving.simulation.month import null

    with tqdm(total=seeds + better, unit="month", disable=None) as bar:
        found = null.table(months=seeds, better=better, progress=bar.update, **asked)
    title = f"{seeds} months of {asked['days']} days at {asked['per_day']:,} decisions a day, retrained daily"
    columns = ("null months that promoted", "+10 %: promoted", "+10 %: serves all by day 14", "median day")
    table = Table("scheme", *columns, title=title)
    for name, row in found["schemes"].items():
        shown = [_percent(row[k]) for k in ("promoted", "better_promoted", "better_serves_by_day_14")]
        day = row["better_serves_median_day"]
        table.add_row(name, *shown, "–" if day is None else f"{day:g}")
    console.print(table)
    return found


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
