"""`croupier ope LOG`: what a policy would have earned on a log, ours or anyone's."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from croupier.models.ope.tabular_log import ColumnNames
from croupier.serving.commands.telling import App, Out, RoleColumn, roles, to_stdout, written
from croupier.serving.frames import log_value
from croupier.serving.frames.value_shown import shown

console = Console(markup=False)


def ope(
    log: Annotated[Path, typer.Argument(help="Parquet, CSV, DSJSON, or an app's folder: its joined log")],
    *,
    policy: Annotated[str, typer.Option(help="uniform, arm:X, or a release's number (of --app)")] = "",
    app: App = "default",
    reward: Annotated[str, typer.Option(help="column")] = "reward",
    propensity: Annotated[str, typer.Option(help="column: probability of the logged arm")] = "propensity",
    target_pmf: Annotated[str, typer.Option(help="column: π of the logged arm, or a list over arms")] = "",
    predicted: Annotated[str, typer.Option(help="column: q̂, a list over arms; with π a list too, DM and DR")] = "",
    arm: Annotated[str, typer.Option(help="column: the logged arm (its index, where lists are given)")] = "",
    event: Annotated[str, typer.Option(help="column: event id; lines of one event count once")] = "",
    unit: Annotated[
        str, typer.Option(help="column: whose the row is, with --target-pmf; rows of a unit go together")
    ] = "",
    alpha: Annotated[float, typer.Option(help="two-sided error of the intervals")] = 0.05,
    column: RoleColumn = None,
    out: Out = None,
) -> None:
    """Estimate a policy's value by DM, IPS, SNIPS and DR with anytime-valid intervals. A table that brings π itself is
    streamed; otherwise contexts are encoded and a reward model is cross-fitted."""
    _check(policy, target_pmf, unit, alpha)
    if target_pmf:
        names = ColumnNames(
            reward=reward,
            propensity=propensity,
            target=target_pmf,
            predicted=predicted,
            arm=arm,
            event=event,
            unit=unit,
        )
        found = log_value.by_target(log, names, alpha=alpha)
    else:
        given = {"reward": reward, "propensity": propensity, "arm": arm, "event_id": event}
        columns = {k: v for k, v in given.items() if v and v != k} | roles(column)
        found = log_value.by_policy(log, policy, app=app, columns=columns, alpha=alpha)
    result = {"log": str(log)} | found
    if not to_stdout(out):
        console.print(shown(result))
    written(out, result)


def _check(policy: str, target_pmf: str, unit: str, alpha: float) -> None:
    """Raises ValueError where the options contradict each other, or alpha is no probability."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: found {alpha:g}, expected a probability, such as 0.05")
    if bool(policy) == bool(target_pmf):
        raise ValueError("ope: say whose value is asked for, by --policy or by --target-pmf")
    if unit and not target_pmf:
        why = "a table with contexts names its units unit_id"
        raise ValueError(f"unit: found {unit!r} with --policy, expected it with --target-pmf alone: {why}")


app = typer.Typer()
app.command()(ope)
