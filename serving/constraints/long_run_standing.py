"""How constraints of many decisions stand: what the joined log used of each, and its price."""

from collections.abc import Callable, Collection
from datetime import datetime

import polars as pl

from croupier.features.declared.constraint import ALIKE, ConstraintSpec
from croupier.features.known_arms import known_arms
from croupier.features.utc import day_start, to_us
from croupier.features.workspace import Workspace
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.long_run import Usage
from croupier.serving.constraints.measured import mean, of_segment
from croupier.serving.constraints.one_standing import Standing
from croupier.serving.constraints.spent import READ, Overrun, decided_on, overrun, spent_on
from croupier.serving.constraints.understood import asked
from croupier.serving.release.safeguards import Safeguards

Having = Callable[[pl.DataFrame, ConstraintSpec], Collection[int]]


def long_run(w: Workspace, rows: pl.DataFrame, now: Safeguards, end: datetime, having: Having) -> list[Standing]:
    """One for each price: a constraint with a floor and a cap has two. A spend is of the day of `end`, UTC; that it was
    overrun is told of each day of the rows, too. `having`: the releases among those of some rows with a constraint."""
    flat = Safeguards.declared(w.spec)
    prices, of = kept_multipliers.now(w.store).multipliers.prices, {one.name: one for one in w.spec.constraints}
    usages, found = flat.usages(known_arms(w)), []
    spent = spent_on(w.store, {name: usage for name, usage in usages.items() if usage.budget}, end).spent
    for name, usage in usages.items():
        one, beyond = of[usage.constraint], Overrun(days={}, decisions=0)
        if one.kind in ALIKE:
            continue
        so_far: float | None
        if usage.budget:
            so_far, target, about = spent[name], f"≤ {usage.budget:g} a day", rows
            days = _by_now(w, rows, end)
            beyond = overrun(days, usage, having(days, one))
        else:
            about = of_segment(usage.segment, rows)
            found_mean = mean(usage, about)
            so_far = None if found_mean is None else abs(found_mean) * (one.least or 1.0)
            target = _target(one, usage)
        found.append(
            Standing(
                name=name,
                kind=one.kind,
                target=target,
                live=one in now.constraints,
                decisions=len(about),
                so_far=so_far,
                least=None,
                most=None,
                broken=beyond.decisions,
                price=prices.get(name, 0.0) / (one.least or 1.0),
                overrun=beyond.days,
            )
        )
    return found


def _by_now(w: Workspace, rows: pl.DataFrame, end: datetime) -> pl.DataFrame:
    """The joined decisions of the days before that of `end`, and all of that day."""
    before = rows.select(READ.names()).cast(READ).filter(pl.col("at") < day_start(to_us(end)))
    return pl.concat([before, decided_on(w.store, end)])


def alike(w: Workspace, one: ConstraintSpec, now: Safeguards, rows: pl.DataFrame) -> list[Standing]:
    """One for each group: its arms' share beside that of all groups; the price is what comes off their score there."""
    usages, found = Safeguards.declared(w.spec).usages(known_arms(w)), []
    prices = kept_multipliers.now(w.store).multipliers.prices
    first = usages[one.priced[0]]
    whole = mean(first, of_segment(first.around, rows)) or 0.0
    whom = "" if one.kind == "parity" else " among requests that reward these arms"
    for more, less in zip(one.priced[::2], one.priced[1::2], strict=True):
        about = of_segment(usages[more].segment, rows)
        found.append(
            Standing(
                name=more.removesuffix(" more"),
                kind=one.kind,
                target=f"within {one.tolerance / 2:g} of {whole:.4g}, the share in all groups{whom}",
                live=one in now.constraints,
                decisions=len(about),
                so_far=mean(usages[more], about),
                least=None,
                most=None,
                broken=0,
                price=prices.get(more, 0.0) - prices.get(less, 0.0),
            )
        )
    return found


def _target(one: ConstraintSpec, usage: Usage) -> str:
    """The target of an exposure or a revenue, in words."""
    if one.kind == "revenue":
        return f"≥ {one.least:g} of reward a decision"
    whose = "all decisions" if usage.segment is None else f"decisions where {asked(one.when)}"
    return f"{'≥' if usage.limit < 0 else '≤'} {abs(usage.limit):g} of {whose}"
