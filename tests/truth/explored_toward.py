"""The table of exploring toward the candidate in models/GATE.md: `python -m tests.truth.explored_toward DATA [LOGS]`.

The cells of `croupier simulate gate --power`, lifts alone: clicks of 1–5 %, 20,000 rows, five planned looks. By how much
the log explores: power and regret of the same ε, spent uniformly and half of it toward the candidate.
"""

import sys
from pathlib import Path

from croupier.models.simulation.gate_rates import LOGGED
from croupier.models.simulation.power.cells import TOWARD, count
from croupier.models.simulation.power.table import judged, mean_power

LIFTS = (0.14, 0.27)


def lines(table):
    """One line of Markdown an exploration, means over its cells, in %."""
    for logged in LOGGED:
        rows = [row for row in judged(table) if row["cell"].endswith(f", {logged}")]
        powers = [100 * mean_power(rows, mode, lift) for lift in LIFTS for mode in ("planned", TOWARD)]
        regret = [100 * sum(row["regret"][way] for row in rows) / len(rows) for way in ("uniform", TOWARD)]
        said = [f"{a:.1f} → {b:.1f}" for a, b in (powers[:2], powers[2:], regret)]
        yield f"| {logged} | {len({row['cell'] for row in rows})} | {' | '.join(said)} |"


def main(folder, runs=100):
    names = ["digits", *sorted(path.stem for path in Path(folder).glob("*.npz"))]
    table = count(Path(folder), names, runs=dict.fromkeys(LIFTS, int(runs)))
    print("\n".join(lines(table)))


if __name__ == "__main__":
    main(*sys.argv[1:])
