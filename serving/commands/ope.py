"""`croupier ope LOG`: what a policy would have earned on a log, ours or anyone's."""

import json
import tempfile
import tomllib
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import polars as pl
import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from features.batch import F64, Batch, Interactions
from features.dataset import encode_interactions
from features.encoder import Encoder
from features.exchange import open_source
from features.guess import guess_app
from features.schema import Arm
from features.spec import AppSpec
from features.workspace import Workspace, get_folder
from models.evaluation import as_served, rounds_of
from models.intervals import asymptotic_cs
from models.policy import make
from models.reward_model import cross_fit
from models.streaming import Totals, total
from models.tabular_log import Columns, TableLog

console = Console()


def ope(
    log: Annotated[Path, typer.Argument(help="Parquet, CSV, or DSJSON")],
    *,
    policy: Annotated[str, typer.Option(help="uniform, arm:X, or a release's number (of --app)")] = "",
    app: Annotated[str, typer.Option(help="whose releases: a folder under var")] = "default",
    reward: Annotated[str, typer.Option(help="column")] = "reward",
    propensity: Annotated[str, typer.Option(help="column: probability of the logged arm")] = "propensity",
    target_pmf: Annotated[str, typer.Option(help="column: π of the logged arm, or a list over arms")] = "",
    predicted: Annotated[str, typer.Option(help="column: q̂, a list over arms; makes DM and DR possible")] = "",
    arm: Annotated[str, typer.Option(help="column: the logged arm (its index, where lists are given)")] = "",
    alpha: Annotated[float, typer.Option(help="two-sided error of the intervals")] = 0.05,
    out: Annotated[Path | None, typer.Option("--json", help="write the result here")] = None,
) -> None:
    """Estimate a policy's value by DM, IPS, SNIPS and DR with anytime-valid intervals. A table that brings π itself is
    streamed; otherwise contexts are encoded and a reward model is cross-fitted."""
    if target_pmf:
        names = Columns(reward=reward, propensity=propensity, target=target_pmf, predicted=predicted, arm=arm)
        found, models = _streamed(log, names)
    elif policy:
        given = {"reward": reward, "propensity": propensity, "arm": arm}
        columns = {k: v for k, v in given.items() if v and v != k}
        found, models = _encoded(log, policy, app, columns), True
    else:
        raise ValueError("ope: found neither --policy nor --target-pmf; say whose value is asked for")
    result = _result(found, alpha, models)
    console.print(_shown(result, policy or target_pmf))
    if out is not None:
        out.write_text(json.dumps(result, indent=1))


def _streamed(log: Path, columns: Columns) -> tuple[Totals, bool]:
    table = TableLog.open(log, columns)
    with tqdm(total=table.rows, unit="row", unit_scale=True, disable=None) as bar:

        def counted() -> Any:
            for chunk in table.chunks():
                yield chunk
                bar.update(len(chunk))

        return total(counted()), table.models_reward


def _encoded(log: Path, policy: str, app: str, columns: dict[str, str]) -> Totals:
    source = open_source(log, unit_key="ope", columns=columns)
    rows = []
    for record in tqdm(source.records(), unit="row", unit_scale=True, disable=None):
        paid = {"reward": sum(r.value for r in record.rewards), "reward_count": len(record.rewards), "reward_at": None}
        rows.append(record.decision.to_row() | paid)
    if not rows:
        raise ValueError(f"{log}: found no usable rows ({dict(source.skipped)})")
    frame = pl.DataFrame(rows, infer_schema_length=None)
    if policy.isdecimal():
        interactions, pmf = _by_release(Workspace.open(app), int(policy), frame)
    else:
        spec = AppSpec.model_validate(tomllib.loads(guess_app(source).toml))
        interactions = _by_guess(spec, frame, source.arms())
        pmf = _named(policy, interactions.batch)
    return Totals.of(rounds_of(interactions, pmf, cross_fit(interactions)))


def _by_guess(spec: AppSpec, frame: pl.DataFrame, arms: list[Arm]) -> Interactions:
    encoder = Encoder.fit(spec, frame, arms)
    return encode_interactions(frame, encoder, encoder.catalogue(arms))


def _by_release(w: Workspace, number: int, frame: pl.DataFrame) -> tuple[Interactions, F64]:
    """The release's champion, as served: its own encoder, catalogue and floor."""
    from serving.release import load

    with tempfile.TemporaryDirectory() as scratch:
        release = load(get_folder(w.store, f"releases/{number:06d}", Path(scratch) / f"{number}"))
        interactions = encode_interactions(frame, release.encoder, release.catalogue)
        return interactions, as_served(release.champion, interactions.batch, release.floor)


def _named(policy: str, batch: Batch) -> F64:
    if policy == "uniform":
        return make("uniform").pmf(batch)
    kind, _, arm = policy.partition(":")
    ids = batch.catalogue.ids
    if kind != "arm" or arm not in ids:
        raise ValueError(f"policy: found {policy!r}, expected uniform, a release's number, or arm:X with X one of "
                         f"{', '.join(ids[:10])}{', …' if len(ids) > 10 else ''}")  # fmt: skip
    return np.asarray((batch.arm == ids.index(arm)) & batch.mask, np.float64)


def _result(found: Totals, alpha: float, models: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"rows": int(found.n), "ess": found.ess, "max_weight_share": found.largest_share,
                            "weight_z": found.weight_z, "alpha": alpha, "estimates": {}}  # fmt: skip
    for name, moments in found.estimates().items():
        if not models and name in ("dm", "dr", "sndr"):
            continue
        bounds = asymptotic_cs(moments, alpha=alpha / 2)
        body["estimates"][name] = {
            "value": moments.mean, "standard_error": moments.standard_error,
            "lower": bounds.lower if isfinite(bounds.lower) else None,
            "upper": bounds.upper if isfinite(bounds.upper) else None,
        }  # fmt: skip
    return dict(orjson.loads(orjson.dumps(body)))


def _shown(result: dict[str, Any], policy: str) -> Table:
    heaviest = f"heaviest {result['max_weight_share']:.2%}"
    title = f"{policy}: {result['rows']:,} rows, {result['ess']:,.0f} effective, {heaviest}"
    table = Table("estimator", "value", "standard error", f"{1 - result['alpha']:.0%} interval, anytime", title=title)
    for name, row in result["estimates"].items():
        ends = ["–" if row[k] is None else f"{row[k]:.6g}" for k in ("lower", "upper")]
        table.add_row(name, f"{row['value']:.6g}", f"{row['standard_error']:.2g}", f"{ends[0]} to {ends[1]}")
    if abs(result["weight_z"]) > 3:
        table.caption = f"weights average {result['weight_z']:+.1f} standard errors off 1: are the propensities true?"
    return table


app = typer.Typer(add_completion=False)
app.command()(ope)
