"""Planned looks on populations that nothing was chosen on: `python -m tests.truth.fresh_populations DATA [LOGS [SEED]]`.

Other policies of the data sets of models/GATE.md's power table (another seed trains their scorers; with SEED 0 they are
the table's), two click rates, a lift of exactly zero. Every cell draws logs of its own. One line a cell: promotions at
each α, with exact limits.
"""

import sys
from pathlib import Path

import numpy as np

from croupier.models.simulation.gate_rates import LOGGED
from croupier.models.simulation.populations import from_classes, load
from croupier.models.simulation.power.cells import ALPHAS, ROWS
from croupier.models.simulation.power.modes import Log
from croupier.models.simulation.power.table import limits
from croupier.models.simulation.power.tables import Tables

CLICKS = (0.01, 0.05), (0.02, 0.08)


def main(data, runs=2000, seed=1):
    names = ["digits", *sorted(path.stem for path in Path(data).glob("*.npz"))]
    cells = [(name, clicks, logged) for name in names for clicks in CLICKS for logged in LOGGED]
    for number, (name, clicks, logged) in enumerate(cells):
        x, y, said = load(None if name == "digits" else Path(data) / f"{name}.npz")
        made = from_classes(x, y, name=said, lift=0.0, rewards=clicks, explored=LOGGED[logged], seed=seed)
        tables, promoted = Tables.of_population(made), dict.fromkeys(ALPHAS, 0)
        for run in range(runs):
            log = Log(drawn=tables.draw(ROWS, np.random.default_rng([seed, number, run])), rows=ROWS)
            for said, alpha in ALPHAS.items():
                promoted[said] += log.planned(alpha)
        found = {said: (hits / runs, limits(hits, runs)[1]) for said, hits in promoted.items()}
        told = "; ".join(f"{said}: {rate:.2%}, at most {most:.2%}" for said, (rate, most) in found.items())
        print(f"{name}, clicks {clicks[0]:.0%} to {clicks[1]:.0%}, {logged}: {told}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
