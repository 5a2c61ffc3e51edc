"""`croupier simulate learning`: how fast a policy learns, on anyone's data."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from croupier.serving.commands.telling import Out, prepared, to_stdout, written

console = Console(markup=False)


def simulate_learning(
    *,
    policy: Annotated[
        str,
        typer.Option(help="several: separated by commas; auto: a portfolio, narrowed as it learns"),
    ],
    data: Annotated[Path | None, typer.Option(help=".npz with X and y; empty: scikit-learn's digits")] = None,
    reward: Annotated[str, typer.Option(help="class: 1 for the right one; mushroom: the Showdown's")] = "class",
    wheel: Annotated[float | None, typer.Option(help="the wheel bandit with this δ, instead of data")] = None,
    rounds: Annotated[int, typer.Option(help="decisions a run")] = 10_000,
    seeds: Annotated[int, typer.Option(help="runs")] = 10,
    first_seed: Annotated[int, typer.Option(min=0, help="the runs' seeds count from here")] = 0,
    parameters: Annotated[str, typer.Option(help='JSON, e.g. {"hidden": [50, 50]}')] = "{}",
    out: Out = None,
    picture: Annotated[Path | None, typer.Option(dir_okay=False, help="draw regret curves here, .svg or .png")] = None,
) -> None:
    """Regret as a percentage of uniform's, and progressive loss (1 − reward; mushroom and wheel: minus the reward),
    with standard errors over seeds."""
    from croupier.models.simulation.simulate import problem_of
    from croupier.models.simulation.simulate import simulate as run

    if min(rounds, seeds) < 1:
        raise ValueError(f"found {rounds} rounds and {seeds} seeds, expected 1 or more of each")
    chosen = _object(parameters)
    prepared(out, picture)
    name, problem = problem_of(data, reward=reward, wheel=wheel, rounds=rounds)
    title = f"{name}: {rounds:,} rounds, {seeds} seeds"
    table, found = Table("policy", "% of uniform's regret", "progressive loss", title=title), []
    for each in policy.split(","):
        result = run(each, problem, seeds=seeds, parameters=chosen, first_seed=first_seed)
        found.append({"data": name, "reward": reward, **result})
        table.add_row(each, *(_shown(result, key) for key in ("percent_of_uniform_regret", "progressive_loss")))
    if not to_stdout(out):
        console.print(table)
        for result in found:
            _left(result)
    if picture is not None:
        from croupier.models.simulation.curves import draw

        lines = {each["policy"]: each["regret_curve"] for each in found}
        draw({title: lines}, rounds, picture, label="regret, mean over seeds")
    written(out, found[0] if len(found) == 1 else found)


def _object(parameters: str) -> dict[str, Any]:
    """What --parameters says. Raises ValueError where that is no JSON object."""
    try:
        chosen = json.loads(parameters)
    except json.JSONDecodeError as error:
        raise ValueError(f"--parameters: found {parameters!r}, expected JSON ({error})") from error
    if not isinstance(chosen, dict):
        raise ValueError(f"--parameters: found {parameters!r}, expected a JSON object")
    return chosen


def _left(result: dict[str, Any]) -> None:
    """Says which policies of a portfolio were left at the end of the runs."""
    chosen = {name: each["chosen"] for name, each in result.get("portfolio", {}).items() if each["chosen"]}
    if chosen:
        told = ", ".join(f"{name} in {runs} of {result['seeds']} runs" for name, runs in chosen.items())
        console.print(f"auto: most was played by {told}", soft_wrap=True)


def _shown(result: dict[str, Any], key: str) -> str:
    """A mean over seeds with its standard error, which one seed alone does not have."""
    error = result[key + "_se"]
    return f"{result[key]:.4g}" + (f" ± {error:.2g}" if error else "")
