"""The power table of models/GATE.md: every mode of the gate on the same populations, with the nulls that hold it.

Clicks of 1–5 %, logs uniform or of the champion exploring with ε .1 or .02. A population whose candidate has fewer than
200 effective rows is left out, as the gate leaves it out. *Toward the candidate*: the same ε, half of it drawn where
it tells the two apart (`exploration.with_floor_toward`). Nulls are the same populations with a lift of zero, and the
traps of simulation/adversarial.py.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from croupier.models.exploration import with_floor_toward
from croupier.models.ope.estimators import effective_sample_size
from croupier.models.simulation.adversarial import traps
from croupier.models.simulation.gate_rates import LIFTS, LOGGED, REWARDS
from croupier.models.simulation.populations import Population, from_classes, load
from croupier.models.simulation.power.modes import MODES, Log
from croupier.models.simulation.power.tables import Tables

ROWS = 20_000
SHARE = 0.5  # of the exploration, drawn where candidate and champion differ
TOWARD = "planned, toward the candidate"
ALPHAS = {"α .05": 0.05, "the ledger's second look, α .0076": 0.05 * 6 / np.pi**2 / 4}

Progress = Callable[[int], object]


def toward(population: Population, explored: float, share: float = SHARE) -> Population:
    """Returns this population with its log exploring with the same ε, a share of it where the two policies differ."""
    mask = population.batch.mask
    log = with_floor_toward(population.champion, population.candidate, mask, explored, share)
    return replace(population, log=log)


def populations(folder: Path | None, names: Sequence[str], lifts: Sequence[float]) -> Iterator[dict[str, Any]]:
    """One cell each: its names, and the population without and with exploration toward the candidate."""
    for name in names:
        x, y, said = load(None if name == "digits" or folder is None else folder / f"{name}.npz")
        for logged, explored in LOGGED.items():
            for lift in lifts:
                made = from_classes(
                    x, y, name=said, lift=lift, rewards=REWARDS["clicks 1–5 %"], explored=explored, seed=0
                )
                yield {"cell": f"{name}, {logged}", "lift": lift, "population": made,
                       "toward": toward(made, explored)}  # fmt: skip


def count(
    folder: Path | None,
    names: Sequence[str],
    *,
    runs: dict[float, int],
    seed: int = 0,
    progress: Progress = lambda _: None,
    done: Sequence[dict[str, Any]] = (),
    save: Callable[[list[dict[str, Any]]], object] = lambda _: None,
) -> list[dict[str, Any]]:
    """One dict a cell and lift; `runs`: logs by lift. What `done` holds of this seed is not counted again."""
    table = list(done)
    known = {(row["cell"], row["lift"], row["runs"], row["seed"]) for row in table}
    for cell in populations(folder, names, [lift for lift in LIFTS if runs.get(lift)]):
        n = runs[cell["lift"]]
        if (cell["cell"], cell["lift"], n, seed) not in known:
            found = _counted(cell["population"], cell["toward"], n, seed, null=cell["lift"] == 0.0)
            table.append({"cell": cell["cell"], "lift": cell["lift"], "runs": n, "seed": seed, "rows": ROWS} | found)
            save(table)
        progress(n)
    return table


def _counted(population: Population, aware: Population, runs: int, seed: int, *, null: bool) -> dict[str, Any]:
    """Promotions by mode, and by α where nothing is there to see."""
    plain, drawn_toward = Tables.of_population(population), Tables.of_population(aware)
    hits = {alpha: dict.fromkeys([*MODES, TOWARD], 0) for alpha in (ALPHAS if null else ("α .05",))}
    sizes = []
    for run in range(runs):
        drawn = plain.draw(ROWS, np.random.default_rng([seed, run, 0]))
        other = drawn_toward.draw(ROWS, np.random.default_rng([seed, run, 1]))
        sizes.append(effective_sample_size(drawn.whole().candidate.weight) if run < 20 else np.nan)
        log, aware_log = Log(drawn=drawn, rows=ROWS), Log(drawn=other, rows=ROWS)
        for name, found in hits.items():
            for mode, promoted in MODES.items():
                found[mode] += promoted(log, ALPHAS[name])
            found[TOWARD] += aware_log.planned(ALPHAS[name])
    logs = {"uniform": population, TOWARD: aware}
    regret = {name: 1.0 - p.value(p.log) / p.value(p.champion) for name, p in logs.items()}
    return {"ess": float(np.nanmean(sizes)), "promoted": hits, "lift_found": population.lift, "regret": regret}


def count_traps(*, runs: int, seed: int = 0, progress: Progress = lambda _: None) -> list[dict[str, Any]]:
    """One dict a trap: promotions by mode, over logs of its own number of rows."""
    table = []
    for index, trap in enumerate(traps()):
        tables = Tables.of_trap(trap, np.random.default_rng([seed, index]))
        found = dict.fromkeys(MODES, 0)
        for run in range(runs):
            log = Log(drawn=tables.draw(trap.rows, np.random.default_rng([seed, index, run])), rows=trap.rows)
            for mode, promoted in MODES.items():
                found[mode] += promoted(log, ALPHAS["α .05"])
            progress(1)
        table.append({"cell": f"trap: {trap.name}", "lift": 0.0, "runs": runs, "seed": seed, "rows": trap.rows,
                      "ess": None, "promoted": {"α .05": found}})  # fmt: skip
    return table
