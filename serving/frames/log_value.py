"""A policy's value on a log: DM, IPS, SNIPS and DR with anytime-valid intervals, and what could not be checked.

A table that brings π itself is streamed; otherwise contexts are encoded and a reward model is cross-fitted."""

import difflib
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tqdm import tqdm

from croupier.features.batch import F64, Batch, Interactions
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
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
from croupier.serving.frames.log_read import TABLE, Read, read_log
from croupier.serving.frames.value_shown import values


@dataclass(frozen=True, kw_only=True)
class Valued:
    """`leak`: the feature that seems to know which arm was drawn; `offered`: the share of rows that the policy could be
    judged on; `agreement`: p-value that DR and IPS agree; `self_test`: that arms were drawn with the logged
    probabilities; `unchecked`: name and reason of what was not asked."""

    totals: Totals
    models: bool = True
    leak: str = ""
    offered: float = 1.0
    all_rows: int = 0
    agreement: float | None = None
    self_test: float | None = None
    unchecked: tuple[Unchecked, ...] = ()
    units: UnitSums | None = None

    def facts(self) -> dict[str, Any]:
        unchecked = [{"name": u.name, "reason": u.reason} for u in self.unchecked]
        return {
            "offered": {"rows": int(self.totals.n), "of": self.all_rows, "share": self.offered},
            "agreement": self.agreement,
            "propensity_self_test": self.self_test,
            "unchecked": unchecked,
        }


def by_policy(
    log: Path | pl.DataFrame, policy: str, *, app: str, columns: dict[str, str], alpha: float
) -> dict[str, Any]:
    """What `uniform`, `arm:X` or a release of `app`, by its number, would have earned on the log, as `croupier ope
    --json` has it. `columns`: column by role, where the name alone does not say. Raises ValueError naming what is
    wrong."""
    read = Read(skipped=Counter())
    frame, spec, arms = read_log(log, columns, read)
    return _facts(policy, read, _judged(policy, app, frame, spec, arms), alpha)


def by_target(log: Path | pl.DataFrame, names: ColumnNames, *, alpha: float) -> dict[str, Any]:
    """The value of the policy whose probabilities the table brings along, in the column `names.target`. The table is
    read in chunks. Raises ValueError naming the column or the row."""
    read = Read(skipped=Counter())
    return _facts(names.target, read, _streamed(log, names, read), alpha)


def _facts(asked: str, read: Read, judged: Valued, alpha: float) -> dict[str, Any]:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: found {alpha:g}, expected a probability, such as 0.05")
    leak = judged.leak or ", ".join(read.left_out)
    return {"policy": asked, "skipped": dict(read.skipped), "repeats": read.repeats, "leak": leak,
            "left_out": read.left_out, "without_reward": read.without_reward, "alike": read.alike,
            "rounded": read.rounded, **judged.facts(),
            **values(judged.totals, alpha, judged.models, judged.units)}  # fmt: skip


def _table(log: Path | pl.DataFrame, columns: ColumnNames) -> TableLog:
    if isinstance(log, Path):
        return TableLog.open(log, columns)
    there = [name for name, kind in log.schema.items() if not isinstance(kind, pl.Object)]
    return TableLog.open(TABLE, columns, log.select(there).to_arrow(compat_level=pl.CompatLevel.oldest()))


def _streamed(log: Path | pl.DataFrame, columns: ColumnNames, read: Read) -> Valued:
    table, units = _table(log, columns), UnitSums()
    with tqdm(total=table.rows, unit="row", unit_scale=True, disable=None) as bar:

        def counted() -> Any:
            for chunk, whose in table.with_units():
                if whose is not None:
                    units.add(chunk, whose)
                yield chunk
                bar.update(len(chunk))

        totals = total(counted())
    read.repeats = table.passed.repeats
    if table.passed.rounded:
        what = f"rows whose {columns.target} does not sum to 1, as rounding explains: {table.passed.rounded:,}"
        read.rounded = [f"{what}; each was divided by its sum"]
    rows = int(totals.n) + table.passed.not_offered
    why = "a table that brings π is streamed: its other columns are not read"
    unchecked = [Unchecked(name=name, reason=why, blocks=False) for name in ("propensity_self_test", leaks.NAME)]
    if not table.columns.event:
        unchecked.append(Unchecked(name="repeats", reason="no column of event ids is named (--event)", blocks=False))
    if not table.columns.unit:
        why = "no column of units is named (--unit): rows count as independent of each other"
        unchecked.append(Unchecked(name="units", reason=why, blocks=False))
    return Valued(
        totals=totals,
        models=table.models_reward,
        offered=totals.n / rows,
        all_rows=rows,
        unchecked=tuple(unchecked),
        units=units if units.parts else None,
    )


def _judged(policy: str, app: str, frame: pl.DataFrame, spec: AppSpec, arms: list[Arm]) -> Valued:
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
    rounds, units = rounds_of(here, pmf, q), UnitSums()
    if len(np.unique(here.unit)) < len(here):
        units.add(rounds, here.unit)
    unchecked = (
        *self_tests.propensity_unchecked(here),
        *self_tests.repeated_draws(here),
        *tested.unchecked,
        *found.unchecked,
        *tested.stated([f"context.{name}" for name in encoder.context_names]),
    )
    return Valued(
        totals=Totals.of(rounds),
        leak=leak,
        offered=share,
        all_rows=len(interactions),
        agreement=None if found.unchecked else found.p,
        self_test=self_tests.propensity(interactions),
        unchecked=unchecked,
        units=units if units.parts else None,
    )


def _by_release(w: Workspace, number: int, frame: pl.DataFrame) -> tuple[Encoder, Interactions, F64]:
    """The release's champion, as served: its own encoder, catalogue and floor."""
    from croupier.serving.release import bundle_store
    from croupier.serving.release.bundle import load

    with tempfile.TemporaryDirectory() as scratch:
        bundle_store.download(w.store, number, Path(scratch) / f"{number}", app=w.home.name)
        release = load(Path(scratch) / f"{number}")
        interactions = encode_interactions(frame, release.encoder, release.catalogue)
        return (
            release.encoder,
            interactions,
            as_served(release.champion, interactions.batch, release.floor, release.limits),
        )


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
