"""The month as a picture: what a decision was worth, day by day, under uniform, as served, and at best."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

COLOURS = {"best": "#2a9d8f", "served": "#1d3557", "uniform": "#8d99ae"}


def draw(months: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws one thin line a month and seed, the mean of the seeds as a thick one; the first days at 100 % are
    marked."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "croupier"
    figure, axes = plt.subplots(figsize=(8, 4))
    days = range(1, months[0]["days"] + 1)
    for name, colour in COLOURS.items():
        lines = [[day.get(name, float("nan")) for day in month["value_by_day"]] for month in months]
        for line in lines:
            axes.plot(days, line, color=colour, linewidth=0.6, alpha=0.5)
        mean = [sum(column) / len(column) for column in zip(*lines, strict=True)]
        axes.plot(days, mean, color=colour, linewidth=2.2, label=name)
    for month in months:
        for day in month["reached_100_day"][:1]:
            axes.axvline(day, color="#e76f51", linewidth=0.8, linestyle=":")
    axes.set_xlabel("day (dotted: a candidate reached all users for the first time)")
    axes.set_ylabel("clicks a decision")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")
    axes.set_title("The loop by itself, from uniform: true value by day")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
