"""The table of units in models/GATE.md: `python -m tests.truth.heavy_units [LOGS]`, and what independent rows lose."""

import sys

from croupier.models.simulation.power.units import ActiveUnits, count

EXPONENTS = (0.0, 1.0, 1.2, 1.3, 1.5, 1.8, 2.0)


def main(runs=200):
    for exponent in EXPONENTS:
        row = count(ActiveUnits(exponent=exponent), runs=runs)
        print(
            f"{exponent} seen {row['units']:,.0f} worth {row['effective_units']:.1f}",
            f"{row['promoted_without_condition']:.1%} {row['promoted']:.1%} at most {row['limits_95'][1]:.1%}",
            flush=True,
        )
    for lift in (0.07, 0.09):  # the same logs, every row another unit's
        told, untold = (
            count(ActiveUnits(exponent=0.0, rows=4000, lift=lift, apart=True, known=known), runs=runs)["promoted"]
            for known in (True, False)
        )
        print(f"independent, +{lift}: {told:.1%} of {runs} logs promoted, {untold:.1%} without units", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
