"""`croupier ope LOG`: what a policy would have earned on a log, ours or anyone's."""

import difflib
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from rich.console import Console
from tqdm import tqdm

from croupier.features.batch import F64, Batch, Interactions
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.exchange.arm_ids import alike
from croupier.features.exchange.coerce import DeclaredFeatures
from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.importing import declared_records
from croupier.features.exchange.once import events
from croupier.features.exchange.sources import open_source
from croupier.features.interactions.versions import read_interactions
from croupier.features.schema import Arm
from croupier.features.settings import Settings
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.models.gate.gate import SELF_TEST_LEVEL
from croupier.models.ope import self_tests
from croupier.models.ope.agreement import agreement
from croupier.models.ope.leaks import tested as leaks
from croupier.models.ope.reward_model import cross_fit
from croupier.models.ope.rounds import as_served, rounds_of
from croupier.models.ope.streaming import Totals, total
from croupier.models.ope.tabular_log import ColumnNames, TableLog
from croupier.models.ope.unchecked import Unchecked
from croupier.models.ope.unit_sums import UnitSums
from croupier.models.policy import make
from croupier.serving.commands.evaluation.ope_shown import counts, shown, values
from croupier.serving.commands.telling import App, Out, RoleColumn, roles, to_stdout, written

console = Console()


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
    read = _Read(skipped=Counter())
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
        judged = _streamed(log, names, read)
    else:
        given = {"reward": reward, "propensity": propensity, "arm": arm, "event_id": event}
        columns = {k: v for k, v in given.items() if v and v != k} | roles(column)
        frame, spec, arms = _read(log, columns, read)
        judged = _judged(policy, app, frame, spec, arms)
    result = {"log": str(log), "policy": policy or target_pmf, "skipped": dict(read.skipped), "repeats": read.repeats,
              "leak": judged.leak or ", ".join(read.left_out), "left_out": read.left_out,
              "without_reward": read.without_reward, "alike": read.alike, **judged.facts()}  # fmt: skip
    result |= values(judged.totals, alpha, judged.models, judged.units)
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


@dataclass
class _Read:
    """What became of the lines of a log: those skipped by reason, those that repeat an event, the columns left out, and
    the decisions that no reward came for."""

    skipped: Counter[str]
    repeats: int = 0
    left_out: list[str] = field(default_factory=list)
    without_reward: int = 0
    alike: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """`leak`: the feature that seems to know which arm was drawn; `offered`: the share of rows that the policy could be
    judged on; `agreement`: p-value that DR and IPS agree; `unchecked`: name and reason of what was not asked."""

    totals: Totals
    models: bool = True
    leak: str = ""
    offered: float = 1.0
    all_rows: int = 0
    agreement: float | None = None
    unchecked: tuple[Unchecked, ...] = ()
    units: UnitSums | None = None

    def facts(self) -> dict[str, Any]:
        unchecked = [{"name": u.name, "reason": u.reason} for u in self.unchecked]
        return {
            "offered": {"rows": int(self.totals.n), "of": self.all_rows, "share": self.offered},
            "agreement": self.agreement,
            "unchecked": unchecked,
        }


def _streamed(log: Path, columns: ColumnNames, read: _Read) -> _Judged:
    table, units = TableLog.open(log, columns), UnitSums()
    with tqdm(total=table.rows, unit="row", unit_scale=True, disable=None) as bar:

        def counted() -> Any:
            for chunk, whose in table.with_units():
                if whose is not None:
                    units.add(chunk, whose)
                yield chunk
                bar.update(len(chunk))

        totals = total(counted())
    read.repeats = table.passed.repeats
    rows = int(totals.n) + table.passed.not_offered
    why = "a table that brings π is streamed: its other columns are not read"
    unchecked = [Unchecked(name=name, reason=why, blocks=False) for name in ("propensity_self_test", leaks.NAME)]
    if not table.columns.event:
        unchecked.append(Unchecked(name="repeats", reason="no column of event ids is named (--event)", blocks=False))
    if not table.columns.unit:
        why = "no column of units is named (--unit): rows count as independent of each other"
        unchecked.append(Unchecked(name="units", reason=why, blocks=False))
    return _Judged(
        totals=totals,
        models=table.models_reward,
        offered=totals.n / rows,
        all_rows=rows,
        unchecked=tuple(unchecked),
        units=units if units.parts else None,
    )


def _read(log: Path, columns: dict[str, str], read: _Read) -> tuple[pl.DataFrame, AppSpec, list[Arm]]:
    """Decisions with their rewards, what their features are, and the arms. Rows that cannot be used are counted, lines
    of one event count once; an empty reward means that none came, as it does for `croupier import`."""
    if log.is_dir():
        frame, spec, arms = _own(log)
        read.without_reward = int((frame["reward_count"] == 0).sum())
        return frame, spec, arms
    source = open_source(log, unit_key="ope", columns=columns)
    guess = guess_app(source)
    spec = AppSpec.model_validate(tomllib.loads(guess.toml))
    read.left_out += guess.too_late
    found = events(tqdm(declared_records(source, spec), unit="row", unit_scale=True, disable=None), spec.reward)
    read.skipped.update(source.skipped)
    read.skipped.update({"event id of another decision": found.conflicting} if found.conflicting else {})
    read.repeats = found.repeated
    if not found.rows:
        raise ValueError(f"{log}: found no usable row ({counts(read.skipped) or 'it is empty'})")
    frame = pl.DataFrame(found.rows, infer_schema_length=None)
    read.without_reward = int((frame["reward_count"] == 0).sum())
    arms = DeclaredFeatures(spec).arms(source.arms())
    read.alike = alike(arm.arm_id for arm in arms)
    return frame, spec, arms


def _own(home: Path) -> tuple[pl.DataFrame, AppSpec, list[Arm]]:
    """The newest version of every joined hour of an app, by its folder under var."""
    if not (home / layout.APP_TOML).exists():
        raise ValueError(f"{home}: found no app.toml in it, expected an app's folder, or a file")
    w = Workspace(Settings(var=home.absolute().parent, app=home.absolute().name))
    start, end = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    rows = read_interactions(w.store, start=start, end=end)
    if rows.is_empty():
        raise ValueError(f"{home}: found no joined interactions; run the build_features DAG first, or give a file")
    return rows.sort("at", "event_id"), w.spec, w.arms()


def _judged(policy: str, app: str, frame: pl.DataFrame, spec: AppSpec, arms: list[Arm]) -> _Judged:
    """An arm is judged on the rows that offered it: elsewhere no policy could have chosen it."""
    if policy.isdecimal():
        encoder, interactions, pmf = _by_release(Workspace.known(app), int(policy), frame)
    else:
        encoder = Encoder.fit(spec, frame, arms)
        interactions = encode_interactions(frame, encoder, encoder.catalogue(arms))
        pmf = _named(policy, interactions.batch)
    tested = leaks.tested(interactions)
    names = (*encoder.context_names, *encoder.pair_names)
    leak = names[tested.suspect] if tested.p < SELF_TEST_LEVEL and tested.suspect >= 0 else ""
    q, offered = cross_fit(interactions), pmf.any(axis=1)
    share = float(interactions.weight[offered].sum() / interactions.weight.sum())
    here, pmf, q = interactions[offered], pmf[offered], q[offered]
    if len(here) == 0:
        raise ValueError(f"policy: {policy} was a candidate in none of the {len(interactions):,} rows")
    found = agreement(here, (pmf,), q)
    unchecked = (
        *self_tests.propensity_unchecked(here),
        *tested.unchecked,
        *found.unchecked,
        *tested.stated([f"context.{name}" for name in encoder.context_names]),
    )
    return _Judged(
        totals=Totals.of(rounds_of(here, pmf, q)),
        leak=leak,
        offered=share,
        all_rows=len(interactions),
        agreement=None if found.unchecked else found.p,
        unchecked=unchecked,
    )


def _by_release(w: Workspace, number: int, frame: pl.DataFrame) -> tuple[Encoder, Interactions, F64]:
    """The release's champion, as served: its own encoder, catalogue and floor."""
    from croupier.serving.release import bundle_store
    from croupier.serving.release.bundle import load

    with tempfile.TemporaryDirectory() as scratch:
        bundle_store.download(w.store, number, Path(scratch) / f"{number}", app=w.home.name)
        release = load(Path(scratch) / f"{number}")
        interactions = encode_interactions(frame, release.encoder, release.catalogue)
        return release.encoder, interactions, as_served(release.champion, interactions.batch, release.floor)


def _named(policy: str, batch: Batch) -> F64:
    if policy == "uniform":
        return make("uniform").pmf(batch)
    kind, _, arm = policy.partition(":")
    ids = batch.catalogue.ids
    if kind != "arm" or arm not in ids:
        words = ["uniform", *(f"arm:{one}" for one in ids)]
        by_case = {word.casefold(): word for word in words}
        near = difflib.get_close_matches(policy.strip().casefold(), by_case, n=1)
        hint = "".join(f"; did you mean {by_case[word]}?" for word in near)
        raise ValueError(
            f"policy: found {policy!r}, expected uniform, a release's number, or arm:X with X one of "
            f"{', '.join(ids[:10])}{', …' if len(ids) > 10 else ''}{hint}"
        )
    return np.asarray((batch.arm == ids.index(arm)) & batch.mask, np.float64)


app = typer.Typer()
app.command()(ope)
