"""`croupier gate …`, `croupier simulate gate`: why the gate said what it said, and how often it is wrong."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from croupier.features.schema import CANDIDATE
from croupier.features.workspace import Workspace
from croupier.models.gate.gate_page import unchecked, write_report
from croupier.serving.commands.evaluation.gate_plan import gate_plan, newest
from croupier.serving.commands.telling import App, AsJson, Out, encoded, prepared, to_stdout, told, written

gate = typer.Typer(no_args_is_help=True, help="Why the gate said what it said.")
console = Console(markup=False)


@gate.callback()
def _gate() -> None:
    """Why the gate said what it said."""


@gate.command()
def report(
    evaluation: Annotated[Path | None, typer.Argument(help="verdict.json; empty: the app's newest")] = None,
    app: App = "default",
    out: Annotated[Path | None, typer.Option(help="the page; empty: beside the JSON")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the page of a gate's evaluation: verdict, conditions, forest plot, weights, calibration, segments."""
    source = evaluation or newest(Workspace.known(app).home)
    page = out or source.with_suffix(".html")
    try:
        body = json.loads(source.read_text())
    except ValueError as error:
        raise ValueError(f"{source}: found no JSON ({error}), expected a verdict") from None
    write_report(body, page)
    if told(as_json, {"page": page.absolute(), "verdict": body}):
        return
    console.print(f"{page}")
    found = body.get("evaluation", body)["policies"]
    for u in unchecked({name: p for name, p in found.items() if p["role"] == CANDIDATE}):
        counts = "counts as not passed" if u["blocks"] else "other conditions cover it"
        console.print(f"not checked: {u['name']}, because {u['reason']}; {counts}")


gate.command("plan")(gate_plan)


def simulate_gate(
    *,
    data: Annotated[Path | None, typer.Option(help=".npz with X and y; empty: scikit-learn's digits")] = None,
    runs: Annotated[int, typer.Option(help="logs to draw")] = 400,
    rows: Annotated[int, typer.Option(help="rows a log")] = 20_000,
    looks: Annotated[int, typer.Option(help="times each log is looked at, evenly")] = 1,
    lift: Annotated[float, typer.Option(help="the candidate's true relative lift; 0: a null")] = 0.0,
    clicks: Annotated[bool, typer.Option("--clicks", help="click rates of 1–5 % instead of 0/1 rewards")] = False,
    explored: Annotated[float, typer.Option(help="ε of the log: 1 uniform, less: the champion with this floor")] = 1.0,
    drift: Annotated[bool, typer.Option("--drift", help="rows come ordered, so that days differ")] = False,
    seed: Annotated[int, typer.Option(min=0, help="the same seed, the same result")] = 0,
    out: Out = None,
    grid: Annotated[Path | None, typer.Option(help="count the whole table of GATE.md instead, into this JSON")] = None,
    data_folder: Annotated[Path | None, typer.Option(help="of the grid's .npz files")] = None,
    checks: Annotated[Path | None, typer.Option(help="count the gate's own checks instead, into this JSON")] = None,
    adversarial: Annotated[
        Path | None, typer.Option(help="count null logs made to deceive a gate instead, --runs of each, into this JSON")
    ] = None,
    power: Annotated[
        Path | None,
        typer.Option(help="count every mode's power and errors instead, --runs of each null, into this JSON"),
    ] = None,
    units: Annotated[
        str, typer.Option(help="rows of units as frequent as zipf:EXPONENT says, each with own tastes")
    ] = "",
    page: Annotated[Path | None, typer.Option(help="put the table, and its picture, into this Markdown page")] = None,
) -> None:
    """False promotions, power and stopping times of the gate, and of three other rules on the same logs."""
    prepared(out, grid, checks, adversarial, power, page)
    if grid is not None:
        _grid(grid, data_folder, page, runs, seed)
    elif power is not None:
        _power(power, data_folder, page, runs, seed)
    elif checks is not None:
        _checks(checks, page, seed)
    elif adversarial is not None:
        _adversarial(adversarial, page, runs, seed)
    elif units:
        _units(units, out, lift=lift, rows=rows, runs=runs, seed=seed)
    else:
        made = {"lift": lift, "rewards": (0.01, 0.05) if clicks else (0.0, 1.0), "explored": explored, "seed": seed}
        _one(data, drift, made, out, runs=runs, rows=rows, looks=looks, seed=seed)


def _one(data: Path | None, drift: bool, made: dict[str, Any], out: Path | None, **how: int) -> None:
    """Counts on logs of one population, and shows or writes what was found."""
    found = _simulated(data, drift, made, **how)
    if not to_stdout(out):
        console.print(_rates(found))
    written(out, found)


def _simulated(data: Path | None, drift: bool, made: dict[str, Any], *, runs: int, **how: int) -> dict[str, Any]:
    """Rates of all rules on logs of the one population that the options describe."""
    from croupier.models.simulation.gate_simulation import simulate
    from croupier.models.simulation.populations import drifting, from_classes, load

    x, y, name = load(data)
    population = from_classes(x, y, name=name, **made)
    with tqdm(total=runs, unit="log", disable=None) as bar:
        return simulate(drifting(population) if drift else population, runs=runs, progress=bar.update, **how)


def _checks(out: Path, page: Path | None, seed: int) -> None:
    """About a quarter of an hour of one idle core. What the file already holds of this seed is not counted again."""
    from croupier.models.simulation import check_rates
    from croupier.models.simulation.check_logs import LEAKS

    logs = check_rates.SOUND + check_rates.LEAKY * len(LEAKS)
    found = json.loads(out.read_text()) if out.is_file() else []
    done = [row for row in found if row.get("seed") == seed and "number" in row]

    def save(rows: list[dict[str, Any]]) -> None:
        out.write_text(json.dumps(rows))

    with tqdm(total=logs, unit="log", disable=None) as bar:
        table = check_rates.count(seed=seed, done=done, progress=bar.update, save=save)
    print(check_rates.markdown(table))
    if page is not None:
        check_rates.write_page(table, page)


def _adversarial(out: Path, page: Path | None, runs: int, seed: int) -> None:
    from croupier.models.simulation import adversarial

    with tqdm(total=runs * len(adversarial.traps()), unit="log", disable=None) as bar:
        table = adversarial.count(runs=runs, seed=seed, progress=bar.update)
    out.write_text(json.dumps(table))
    print(adversarial.markdown(table))
    if page is not None:
        adversarial.write_page(table, page)


def _units(named: str, out: Path | None, *, runs: int, seed: int, **crowd: Any) -> None:
    from croupier.models.simulation.power import units

    asked = units.ActiveUnits.named(named, **crowd)
    with tqdm(total=runs, unit="log", disable=None) as bar:
        found = units.count(asked, runs=runs, seed=seed, progress=bar.update)
    if not to_stdout(out):
        low, high = (f"{100 * x:.1f}" for x in found["limits_95"])
        console.print(
            f"{named}: {found['units']:,.0f} units seen, worth {found['effective_units']:.1f}; promoted "
            f"{found['promoted']:.1%} of {runs} logs (95 % limits {low} to {high}), without the condition "
            f"on effective units {found['promoted_without_condition']:.1%}"
        )
    written(out, found)


def _power(out: Path, folder: Path | None, page: Path | None, runs: int, seed: int) -> None:
    """Nulls and traps `runs` logs each, lifts a tenth as many. What the file already holds is not counted again."""
    from croupier.models.simulation.gate_rates import LOGGED
    from croupier.models.simulation.power import cells, table

    names = ["digits", *(sorted(p.stem for p in folder.glob("*.npz")) if folder else [])]
    by_lift = {lift: max(1, runs if lift == 0.0 else runs // 10) for lift in (0.0, 0.14, 0.27)}
    done = json.loads(out.read_text()) if out.is_file() else []
    with tqdm(total=len(names) * len(LOGGED) * sum(by_lift.values()), unit="log", disable=None) as bar:
        found = cells.count(
            folder,
            names,
            runs=by_lift,
            seed=seed,
            progress=bar.update,
            done=done,
            save=lambda rows: out.write_text(encoded(rows)),
        )
    if not any(row["cell"].startswith("trap: ") for row in found):
        found = [*found, *cells.count_traps(runs=runs, seed=seed)]
    out.write_text(encoded(found))
    print(table.markdown(json.loads(out.read_text())))
    if page is not None:
        table.write_page(json.loads(out.read_text()), page)


def _rates(found: dict[str, Any]) -> Table:
    title = (
        f"{found['population']}: true lift {found['lift']:.1%}, {found['runs']} logs of {found['rows']:,} rows, "
        f"{found['looks']} look(s), ESS {found['ess']:.0f}"
    )
    table = Table("rule", "promoted", "rejected", "not enough", "median rows", title=title)
    for rule, rates in {"croupier": found, **found["rules"]}.items():
        shown = [f"{rates[k]:.1%}" for k in ("promoted_rate", "rejected_rate", "not_enough_rate")]
        table.add_row(rule, *shown, f"{rates['median_rows']:,.0f}" if rates["median_rows"] else "–")
    return table


def _grid(out: Path, folder: Path | None, page: Path | None, runs: int, seed: int) -> None:
    from croupier.models.simulation.gate_rates import cells, count, markdown, write_page

    files = sorted(p.stem for p in folder.glob("*.npz")) if folder else []
    names = ["digits", *files, "reels"]
    with tqdm(total=sum(1 for _ in cells(names)), unit="cell", disable=None) as bar:
        table = count(folder, names, runs=runs, seed=seed, progress=bar.update)
    out.write_text(json.dumps(table))
    print(markdown(table))
    if page is not None:
        write_page(json.loads(out.read_text()), page)
