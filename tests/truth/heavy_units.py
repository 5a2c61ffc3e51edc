"""The table of units in models/GATE.md: `python -m tests.truth.heavy_units`."""

from croupier.models.simulation.power.units import ActiveUnits, count


def main(runs=200):
    for exponent in (0.0, 1.0, 1.2, 1.5, 1.8, 2.0):
        row = count(ActiveUnits(exponent=exponent), runs=runs)
        print(
            f"{exponent} seen {row['units']:,.0f} worth {row['effective_units']:.1f}",
            f"{row['promoted_without_condition']:.1%} {row['promoted']:.1%} at most {row['limits_95'][1]:.1%}",
        )


if __name__ == "__main__":
    main()
