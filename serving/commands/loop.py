"""`croupier simulate loop`: a virtual month of the whole loop, or how often its scheme of retraining errs."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

console = Console()


def simulate_loop(
    *,
    days: Annotated[int, typer.Option(min=1, help="virtual days")] = 30,
    seeds: Annotated[int, typer.Option(min=1, help="months; with --null, null months")] = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="the months' seeds count from here")] = 1,
    per_day: Annotated[int, typer.Option(min=1, help="decisions a day, on average; null months cost as much")] = 3000,
    every: Annotated[str, typer.Option(help="[training] every")] = "12h",
    window: Annotated[float, typer.Option(min=0.1, help="[training] days")] = 30.0,
    flip: Annotated[int, typer.Option(min=0, help="the day on which tastes reverse; 0: never")] = 0,
    churn: Annotated[bool, typer.Option("--churn", help="each day one arm leaves and one comes")] = False,
    null: Annotated[bool, typer.Option("--null", help="count false promotions instead, on null logs")] = False,
    better: Annotated[int, typer.Option(min=0, help="with --null: also 14 days of a +10 % family, 30,000 a day")] = 0,
    outage: Annotated[str, typer.Option(help='hours in which Airflow is down, such as "100-106"')] = "",
    out: Annotated[Path | None, typer.Option("--json", dir_okay=False, help="write the result here")] = None,
    picture: Annotated[Path | None, typer.Option(dir_okay=False, help="draw value by day here, .svg or .png")] = None,
    keep: Annotated[Path | None, typer.Option(file_okay=False, help="keep the months' apps below this folder")] = None,
) -> None:
    """Thirty days on a virtual clock, from `uniform` and nothing else, by the functions that the DAGs call.

    A crowd of the reels world asks and clicks; hours are built, policies trained, judged, released and rolled out when
    they are due. Printed are the shares of the best policy's lift over uniform that were served."""
    for path in (out, picture):
        if path is not None:  # now, not after hours
            path.parent.mkdir(parents=True, exist_ok=True)
    if null:
        _refuse_unused({"--flip": flip, "--churn": churn, "--outage": outage, "--picture": picture, "--keep": keep})
        found = _null(seeds, days, per_day, better, first_seed)
    else:
        down = _hours(outage)
        found = _months(seeds, first_seed, keep, {
            "days": days, "per_day": per_day, "every": every, "window": window, "flip": flip, "churn": churn,
            "down": down,
        })  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(found, indent=1))
    if picture is not None and not null:
        from serving.month.picture import draw

        draw(found["months"], picture)


def _refuse_unused(given: dict[str, object]) -> None:
    """Raises ValueError naming the options that null months do not have."""
    named = [option for option, value in given.items() if value]
    if named:
        raise ValueError(f"--null: found {', '.join(named)} beside it, expected none: null months lack them")


def _hours(text: str) -> frozenset[int]:
    """"100-106" → hours 100 to 105. Raises ValueError."""
    if not text:
        return frozenset()
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise ValueError(f'--outage: found {text!r}, expected hours since the start, such as "100-106"')
    return frozenset(range(int(first), int(last)))


def _months(seeds: int, first_seed: int, keep: Path | None, asked: dict[str, Any]) -> dict[str, Any]:
    from serving.month import month

    found, hours = [], 24 * asked["days"] * seeds
    with tempfile.TemporaryDirectory() as scratch, tqdm(total=hours, unit="h", disable=None) as bar:
        for seed in range(first_seed, first_seed + seeds):
            crowd = month.crowd_of(seed, per_day=asked["per_day"], flip=asked["flip"], churn=asked["churn"])
            plan = month.Plan(crowd=crowd, days=asked["days"], every=asked["every"], window_days=asked["window"],
                              down=asked["down"])  # fmt: skip
            var = (keep or Path(scratch)) / f"seed{seed}"
            found.append(month.run(plan, var, progress=bar.update))
    console.print(_table(found))
    mean = {key: sum(m[key] for m in found) / len(found) for key in ("trained_share", "lift_share_of_best")}
    by_day = [sum(m["lift_by_day"][day] for m in found) / len(found) for day in range(asked["days"])]
    return {
        **{key: value for key, value in asked.items() if key != "down"}, **mean, "lift_by_day": by_day,
        "releases": [len(m["releases"]) for m in found],
        "reached_100_day": [_first(m["reached_100_day"]) for m in found],
        "promoted": sum(bool(m["promoted_days"]) for m in found) / len(found), "months": found,
    }  # fmt: skip


def _first(days: list[int]) -> int | None:
    return days[0] if days else None


def _table(months: list[dict[str, Any]]) -> Table:
    title = "share of the best policy's lift over uniform, last five days"
    table = Table("seed", "decisions", "trained on", "share", "first at 100 %", "releases", "errors", title=title)
    for m in months:
        table.add_row(
            str(m["seed"]), f"{m['decisions']:,.0f}", f"{m['trained_share']:.2%}", f"{m['lift_share_of_best']:.1%}",
            f"day {m['reached_100_day'][0]}" if m["reached_100_day"] else "never",
            str(len(m["releases"])), str(m["errors"]),
        )  # fmt: skip
    return table


def _null(seeds: int, days: int, per_day: int, better: int, first_seed: int) -> dict[str, Any]:
    from serving.month import null

    with tqdm(total=seeds + better, unit="month", disable=None) as bar:
        found = null.table(
            months=seeds, days=days, per_day=per_day, better=better, seed=first_seed, progress=bar.update
        )
    table = Table("scheme", "null months that promoted", "+10 %: promoted", "+10 %: serves all by day 14", "median day",
                  title=f"{seeds} months of {days} days at {per_day:,} decisions a day, retrained daily")  # fmt: skip
    for name, row in found["schemes"].items():
        shown = [_percent(row[k]) for k in ("promoted", "better_promoted", "better_serves_by_day_14")]
        day = row["better_serves_median_day"]
        table.add_row(name, *shown, "–" if day is None else f"{day:g}")
    console.print(table)
    return found


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
