"""Regret as a picture: what a policy has lost so far against the best arm of every round."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def draw(panels: Mapping[str, Mapping[str, Sequence[float]]], rounds: int, path: Path, *, label: str) -> None:
    """One panel a data set, one line a policy: sums so far at equal steps over the `rounds`. SVG or PNG by the name."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "croupier", "font.size": 9})
    figure, axes = plt.subplots(1, len(panels), figsize=(3.4 * len(panels), 3), squeeze=False, layout="constrained")
    for axis, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for name, curve in lines.items():
            axis.plot([i * rounds / len(curve) for i in range(len(curve))], curve, label=name, lw=1.2)
        axis.set(title=title, xlabel="rounds", ylabel=label)
        axis.legend(frameon=False, fontsize=7)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
