"""The counted cells as tables of models/GATE.md."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scipy.special import betaincinv

from croupier.features.spec import GateSpec
from croupier.models.simulation import marked
from croupier.models.simulation.power.cells import ALPHAS, TOWARD

MARK = "power"
Row = dict[str, Any]


def limits(hits: int, runs: int, error: float = 0.05) -> tuple[float, float]:
    """Exact limits of a rate, each wrong with probability `error` (Clopper & Pearson 1934)."""
    low = float(betaincinv(hits, runs - hits + 1, error)) if hits else 0.0
    return low, float(betaincinv(hits + 1, runs - hits, 1.0 - error)) if hits < runs else 1.0


def judged(table: Iterable[Row]) -> list[Row]:
    """The cells whose candidate has the rows that the gate asks for."""
    return [row for row in table if row["ess"] is None or row["ess"] >= GateSpec().min_ess]


def mean_power(table: Sequence[Row], mode: str, lift: float) -> float:
    """The mean over cells of a lift; NaN where none was counted in this mode."""
    rows = [r for r in judged(table) if abs(r["lift"] - lift) < 1e-6 and mode in r["promoted"]["α .05"]]
    rates = [r["promoted"]["α .05"][mode] / r["runs"] for r in rows]
    return sum(rates) / len(rates) if rates else float("nan")


def worst_null(table: Sequence[Row], mode: str, alpha: str, *, traps: bool) -> tuple[Row, int] | None:
    """The null cell of most promotions, and how many there were."""
    rows = [r for r in table if not r["lift"] and r["cell"].startswith("trap: ") == traps]
    found = [(r, r["promoted"][alpha][mode]) for r in rows if mode in r["promoted"].get(alpha, {})]
    return max(found, key=lambda pair: pair[1] / pair[0]["runs"]) if found else None


def markdown(table: Sequence[Row]) -> str:
    """One line a mode: mean power, and the worst null with its exact 95 % limits, in %."""
    modes = [*dict.fromkeys(mode for row in table for mode in row["promoted"]["α .05"])]
    head = ["mean power, clicks 1–5 %, 20,000 rows", "+14 %", "+27 %", *(f"worst null, {alpha}" for alpha in ALPHAS),
            "worst trap, α .05"]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for mode in modes:
        nulls = [_said(worst_null(table, mode, alpha, traps=False)) for alpha in ALPHAS]
        powers = [f"{100 * mean_power(table, mode, lift):.1f}" for lift in (0.14, 0.27)]
        lines.append(
            f"| {mode} | {' | '.join([*powers, *nulls, _said(worst_null(table, mode, 'α .05', traps=True))])} |"
        )
    counted = {kind: _logs(table, kind) for kind in ("powers", "nulls", "traps")}
    cells = len({r["cell"] for r in judged(table) if r["lift"]})
    lines.append(
        f"\n{cells} cells; logs a cell: power {counted['powers']}, nulls {counted['nulls']}, traps "
        f"{counted['traps']}. " + _regret(table)
    )
    return "\n".join(lines) + "\n"


def _logs(table: Sequence[Row], kind: str) -> str:
    trap, null = kind == "traps", kind != "powers"
    runs = {r["runs"] for r in table if r["cell"].startswith("trap: ") == trap and (not r["lift"]) == null}
    return " to ".join(f"{n:,}" for n in sorted({min(runs), max(runs)})) if runs else "none"


def _said(found: tuple[Row, int] | None) -> str:
    if found is None:
        return "–"
    row, hits = found
    low, high = limits(hits, row["runs"])
    return f"{100 * hits / row['runs']:.1f} ({100 * low:.1f}–{100 * high:.1f}), {row['cell'].removeprefix('trap: ')}"


def _regret(table: Sequence[Row]) -> str:
    """What the two explorations cost, of the champion's value, in the logs of a champion with ε .1."""
    rows = [r["regret"] for r in judged(table) if r["lift"] and "regret" in r and "ε .1" in r["cell"]]
    if not rows:
        return ""
    uniform, aware = (100 * sum(r[kind] for r in rows) / len(rows) for kind in ("uniform", TOWARD))
    where = f"{uniform:.1f} % of the champion's value if uniform, {aware:.1f} % toward the candidate"
    return f"Exploring with ε .1 costs {where}."


def write_page(table: Sequence[Row], page: Path) -> None:
    """Put the table between its marks."""
    marked.put(page, MARK, markdown(table))
