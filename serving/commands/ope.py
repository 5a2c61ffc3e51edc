"""`croupier ope LOG`: what a policy would have earned on a log, ours or anyone's."""

import json
import tempfile
import tomllib
from collections import Counter
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import polars as pl
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from features.batch import F64, Batch, Interactions
from features.dataset import encode_interactions
from features.encoder import Encoder
from features.exchange import declared_records, open_source
from features.exchange.coerce import Declared
from features.exchange.guess import guess_app
from features.schema import Arm
from features.settings import Settings
from features.spec import AppSpec
from features.versions import read_interactions
from features.workspace import Workspace
from models import self_tests
from models.gate import SELF_TEST_LEVEL
from models.intervals import asymptotic_cs
from models.policy import make
from models.reward_model import cross_fit
from models.rounds import as_served, rounds_of
from models.streaming import Totals, total
from models.tabular_log import Columns, TableLog

console = Console()


def ope(
    log: Annotated[Path, typer.Argument(help="Parquet, CSV, DSJSON, or an app's folder: its joined log")],
    *,
    policy: Annotated[str, typer.Option(help="uniform, arm:X, or a release's number (of --app)")] = "",
    app: Annotated[str, typer.Option(help="whose releases: a folder under var")] = "default",
    reward: Annotated[str, typer.Option(help="column")] = "reward",
    propensity: Annotated[str, typer.Option(help="column: probability of the logged arm")] = "propensity",
    target_pmf: Annotated[str, typer.Option(help="column: π of the logged arm, or a list over arms")] = "",
    predicted: Annotated[str, typer.Option(help="column: q̂, a list over arms; with π a list too, DM and DR")] = "",
    arm: Annotated[str, typer.Option(help="column: the logged arm (its index, where lists are given)")] = "",
    alpha: Annotated[float, typer.Option(help="two-sided error of the intervals")] = 0.05,
    out: Annotated[Path | None, typer.Option("--json", dir_okay=False, help="write the result here")] = None,
) -> None:
    """Estimate a policy's value by DM, IPS, SNIPS and DR with anytime-valid intervals. A table that brings π itself is
    streamed; otherwise contexts are encoded and a reward model is cross-fitted."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: found {alpha:g}, expected a probability, such as 0.05")
    if bool(policy) == bool(target_pmf):
        raise ValueError("ope: say whose value is asked for, by --policy or by --target-pmf")
    skipped: Counter[str] = Counter()
    left_out: list[str] = []
    leak, empty = "", 0
    if target_pmf:
        names = Columns(reward=reward, propensity=propensity, target=target_pmf, predicted=predicted, arm=arm)
        found, models = _streamed(log, names)
    else:
        given = {"reward": reward, "propensity": propensity, "arm": arm}
        columns = {k: v for k, v in given.items() if v and v != k}
        frame, spec, arms = _read(log, columns, skipped, left_out)
        empty = int((frame["reward_count"] == 0).sum())
        found, leak = _judged(policy, app, frame, spec, arms)
        models = True
    result = {"log": str(log), "policy": policy or target_pmf, "skipped": dict(skipped),
              "leak": leak or ", ".join(left_out), "left_out": left_out, "without_reward": empty}  # fmt: skip
    result |= _result(found, alpha, models)
    console.print(_shown(result))
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


def _read(
    log: Path, columns: dict[str, str], skipped: Counter[str], left_out: list[str]
) -> tuple[pl.DataFrame, AppSpec, list[Arm]]:
    """Decisions with their rewards, what their features are, and the arms. Rows that cannot be used are counted; an
    empty reward means that none came, as it does for `croupier import`; columns that no decision can have known are
    named in `left_out`."""
    if log.is_dir():
        return _own(log)
    source = open_source(log, unit_key="ope", columns=columns)
    guess = guess_app(source)
    spec = AppSpec.model_validate(tomllib.loads(guess.toml))
    left_out += guess.too_late
    rows = []
    for record in tqdm(declared_records(source, spec), unit="row", unit_scale=True, disable=None):
        value = sum(r.value for r in record.rewards) if record.rewards else spec.reward.default
        paid = {"reward": value, "reward_count": len(record.rewards), "reward_at": None}
        rows.append(record.decision.to_row() | paid)
    skipped.update(source.skipped)
    if not rows:
        raise ValueError(f"{log}: found no usable row ({_counts(skipped) or 'it is empty'})")
    return pl.DataFrame(rows, infer_schema_length=None), spec, Declared(spec).arms(source.arms())


def _own(home: Path) -> tuple[pl.DataFrame, AppSpec, list[Arm]]:
    """The newest version of every joined hour of an app, by its folder under var."""
    if not (home / "app.toml").exists():
        raise ValueError(f"{home}: found no app.toml in it, expected an app's folder, or a file")
    w = Workspace(Settings(var=home.absolute().parent, app=home.absolute().name))
    start, end = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    rows = read_interactions(w.store, start=start, end=end)
    if rows.is_empty():
        raise ValueError(f"{home}: found no joined interactions; run the build_features DAG first, or give a file")
    return rows.sort("at", "event_id"), w.spec, w.arms()


def _judged(policy: str, app: str, frame: pl.DataFrame, spec: AppSpec, arms: list[Arm]) -> tuple[Totals, str]:
    """Totals, and the feature that seems to know which arm was drawn, or ""."""
    if policy.isdecimal():
        encoder, interactions, pmf = _by_release(Workspace.known(app), int(policy), frame)
    else:
        encoder = Encoder.fit(spec, frame, arms)
        interactions = encode_interactions(frame, encoder, encoder.catalogue(arms))
        pmf = _named(policy, interactions.batch)
    p_value, suspect = self_tests.leak(interactions)
    names = (*encoder.context_names, *encoder.pair_names)
    leak = names[suspect] if p_value < SELF_TEST_LEVEL and suspect >= 0 else ""
    return Totals.of(rounds_of(interactions, pmf, cross_fit(interactions))), leak


def _by_release(w: Workspace, number: int, frame: pl.DataFrame) -> tuple[Encoder, Interactions, F64]:
    """The release's champion, as served: its own encoder, catalogue and floor."""
    from serving import release_store
    from serving.release import load

    with tempfile.TemporaryDirectory() as scratch:
        release_store.download(w.store, number, Path(scratch) / f"{number}")
        release = load(Path(scratch) / f"{number}")
        interactions = encode_interactions(frame, release.encoder, release.catalogue)
        return release.encoder, interactions, as_served(release.champion, interactions.batch, release.floor)


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


def _shown(result: dict[str, Any]) -> Table:
    heaviest = f"heaviest {result['max_weight_share']:.2%}"
    title = Text(f"{result['policy']}: {result['rows']:,} rows, {result['ess']:,.0f} effective, {heaviest}")
    table = Table("estimator", "value", "standard error", f"{1 - result['alpha']:.0%} interval, anytime", title=title)
    for name, row in result["estimates"].items():
        error = "–" if row["standard_error"] is None else f"{row['standard_error']:.2g}"
        low, high = ("–" if row[k] is None else f"{row[k]:.6g}" for k in ("lower", "upper"))
        table.add_row(name, f"{row['value']:.6g}", error, f"{low} to {high}")
    notes = [f"skipped: {_counts(result['skipped'])}"] if result["skipped"] else []
    if result["without_reward"]:
        notes.append(f"{result['without_reward']:,} rows without a reward count as the declared default")
    if result["left_out"]:
        notes.append(f"left out, since no decision can have known them: {', '.join(result['left_out'])}")
    elif result["leak"]:
        notes.append(f"{result['leak']} seems to know which arm was drawn: without it DM and DR would differ")
    if "dr" not in result["estimates"]:
        notes.append("DM and DR need π and q̂ of every arm: lists, by --target-pmf and --predicted, with --arm")
    if abs(result["weight_z"]) > 3:
        notes.append(f"weights average {result['weight_z']:+.1f} standard errors off 1: are the propensities true?")
    table.caption = Text("\n".join(notes)) if notes else None
    return table


def _counts(skipped: dict[str, int]) -> str:
    return ", ".join(f"{n:,} × {reason}" for reason, n in skipped.items())


app = typer.Typer(add_completion=False)
app.command()(ope)
