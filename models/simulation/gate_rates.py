"""The gate's error rates over a grid of populations, as a committed table and picture.

`croupier simulate gate --grid rates.json --data-folder DATA --page models/GATE.md` counts them and shows them there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from croupier.models.simulation import marked
from croupier.models.simulation.gate_simulation import simulate
from croupier.models.simulation.populations import Population, drifting, from_classes, from_reels, load

LIFTS = (0.0, 0.14, 0.27)
LOGGED = {"uniform": 1.0, "champion, ε .1": 0.1, "champion, ε .02": 0.02}
REWARDS = {"0/1": (0.0, 1.0), "clicks 1–5 %": (0.01, 0.05)}
MARK = "rates"
RULES = ("ours", "clt", "sagemaker", "banditdb")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One population, to be judged on logs of `rows` rows at `looks` looks."""

    data: str
    rewards: str
    logged: str
    lift: float
    rows: int
    looks: int
    drift: bool = False


def cells(names: Sequence[str]) -> Iterator[Cell]:
    """Null lifts at three sizes, real ones at 20,000 rows; at one look and at twenty; with and without drift."""
    for name in names:
        for rewards in REWARDS if name != "reels" else ("0/1",):
            for logged in LOGGED:
                for lift in LIFTS:
                    for drift in (False, True) if logged == "uniform" else (False,):
                        for rows in (1000, 5000, 20_000) if lift == 0 and not drift else (20_000,):
                            for looks in (1, 20):
                                yield Cell(
                                    data=name,
                                    rewards=rewards,
                                    logged=logged,
                                    lift=lift,
                                    rows=rows,
                                    looks=looks,
                                    drift=drift,
                                )


def count(
    folder: Path | None,
    names: Sequence[str],
    *,
    runs: int,
    seed: int = 0,
    progress: Callable[[int], object] = lambda _: None,
) -> list[dict[str, Any]]:
    """One dict a cell: the cell's own fields and `simulate`'s."""
    table: list[dict[str, Any]] = []
    made: dict[tuple[object, ...], Population] = {}  # the last one: cells of a population follow each other
    for index, cell in enumerate(cells(names)):
        key = (cell.data, cell.rewards, cell.logged, cell.lift, cell.drift)
        if key not in made:
            made = {key: _population(cell, folder, seed)}
        found = simulate(made[key], runs=runs, rows=cell.rows, looks=cell.looks, seed=seed + 1_000_003 * index)
        table.append(vars(cell) | found)
        progress(1)
    return table


def _population(cell: Cell, folder: Path | None, seed: int) -> Population:
    explored = LOGGED[cell.logged]
    if cell.data == "reels":
        population = from_reels(lift=cell.lift, explored=explored, seed=seed)
    else:
        x, y, name = load(None if cell.data == "digits" or folder is None else folder / f"{cell.data}.npz")
        population = from_classes(
            x, y, name=name, lift=cell.lift, rewards=REWARDS[cell.rewards], explored=explored, seed=seed
        )
    return drifting(population) if cell.drift else population


def pooled(table: Iterable[dict[str, Any]], rule: str, kind: str = "promoted_rate") -> tuple[float, float, int]:
    """Returns (mean, worst cell, logs) of a rate: of errors the largest; of "power", promotions that are right, the
    least."""
    rows = list(table)
    key, worst = ("promoted_rate", np.min) if kind == "power" else (kind, np.max)
    rate = [r[key] if rule == "ours" else r["rules"][rule][key] for r in rows]
    logs = sum(r["runs"] for r in rows)
    return (float(np.mean(rate)), float(worst(rate)), logs) if rows else (float("nan"), float("nan"), 0)


def summary(table: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line a question, a rate for each rule: mean over cells, and the worst cell."""
    still = [r for r in table if not r["drift"]]
    null, lifted = [r for r in still if r["lift"] < 0.01], [r for r in still if r["lift"] >= 0.01]
    lines: list[tuple[str, list[dict[str, Any]], str]] = []
    for looks in (1, 20):
        seen = "one look" if looks == 1 else "20 looks"
        lines += [(f"false promotion, null lift, {seen}, {rows:,} rows",
                   [r for r in null if r["looks"] == looks and r["rows"] == rows], "promoted_rate")
                  for rows in (1000, 5000, 20_000)]  # fmt: skip
        lines += [(f"false promotion, null lift, {seen}, ESS {label}",
                   [r for r in null if r["looks"] == looks and low <= r["ess"] < high], "promoted_rate")
                  for label, low, high in (("< 200", 0, 200), ("≥ 200", 200, np.inf))]  # fmt: skip
    for looks in (1, 20):
        for rewards in REWARDS:
            for lift in LIFTS[1:]:
                lines.append((f"power, lift +{lift:.0%}, {rewards}, 20,000 rows, {looks} look{'s' * (looks > 1)}",
                              [r for r in lifted if r["looks"] == looks and r["rewards"] == rewards
                               and abs(r["lift"] - lift) < 1e-6 and r["ess"] >= 200], "power"))  # fmt: skip
    for low, high in ((0, 200), (200, 1000), (1000, np.inf)):
        label = f"< {high}" if low == 0 else f"≥ {low}" if high == np.inf else f"{low}–{high}"
        lines.append((f"missed: lift +14 or +27 %, 20,000 rows, one look, ESS {label}",
                      [r for r in lifted if r["looks"] == 1 and low <= r["ess"] < high],
                      "not_enough_rate"))  # fmt: skip
    lines.append(("wrong: rejected a better one, 20 looks", [r for r in lifted if r["looks"] == 20], "rejected_rate"))
    for looks in (1, 20):
        lines.append((f"false promotion, null lift over a drifting log, {looks} look{'s' * (looks > 1)}",
                      [r for r in table if r["drift"] and r["lift"] < 0.01 and r["looks"] == looks],
                      "promoted_rate"))  # fmt: skip
    return [{"question": text, "cells": len(rows), "logs": pooled(rows, "ours")[2],
             "rates": {rule: pooled(rows, rule, kind)[:2] for rule in RULES}}
            for text, rows, kind in lines if rows]  # fmt: skip


def markdown(table: Sequence[dict[str, Any]]) -> str:
    """Mean over cells, and the worst cell after the stroke, in %."""
    head = "| | cells, logs | croupier | DR + CLT | SageMaker's | BanditDB's |\n|---|---|---|---|---|---|\n"
    lines = []
    for line in summary(table):
        shown = " | ".join(f"{100 * m:.1f} / {100 * w:.1f}" for m, w in line["rates"].values())
        lines.append(f"| {line['question']} | {line['cells']}, {line['logs']:,} | {shown} |")
    return head + "\n".join(lines) + "\n"


def write_page(table: Sequence[dict[str, Any]], page: Path) -> None:
    """Put the table between the marks of a Markdown page, and the picture beside it, as gate_rates.svg."""
    marked.put(page, MARK, markdown(table))
    picture(table, page.parent / "gate_rates.svg")


def picture(table: Sequence[dict[str, Any]], path: Path) -> None:
    """Left: false promotions of each cell at 20 looks by ESS. Right: power by lift. SVG."""
    from matplotlib import use

    use("Agg")
    from matplotlib import pyplot as plt

    colours = dict(zip(RULES, ("#0b6e4f", "#c8553d", "#8d99ae", "#e0a458"), strict=True))
    labels = dict(zip(RULES, ("croupier", "DR + CLT", "SageMaker's rule", "BanditDB's rule"), strict=True))
    plt.rcParams.update({"svg.hashsalt": "croupier", "font.size": 9})
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    looked = [r for r in table if r["looks"] == 20 and not r["drift"]]
    for rule in RULES:
        rate = [r["promoted_rate"] if rule == "ours" else r["rules"][rule]["promoted_rate"] for r in looked]
        null = [(r["ess"], 100 * p) for r, p in zip(looked, rate, strict=True) if r["lift"] < 0.01]
        left.scatter(*zip(*null, strict=True), s=12, alpha=0.7, color=colours[rule], label=labels[rule])
        power: dict[float, list[float]] = {}
        for r, p in zip(looked, rate, strict=True):
            if r["rows"] == 20_000 and r["rewards"] == "0/1":
                power.setdefault(round(100 * r["lift"]), []).append(100 * p)
        right.plot(sorted(power), [np.mean(power[k]) for k in sorted(power)], "o-", ms=4, color=colours[rule])
    left.axhline(5, color="#333", lw=0.8, ls="--")
    left.set(xscale="log", xlabel="effective sample size", ylabel="promoted, %", ylim=(-2, 100))
    left.set_title("No lift at all: 20 looks")
    right.set(xlabel="true lift, %", title="A real lift: 20,000 rows, 0/1 rewards", ylim=(-2, 102))
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
