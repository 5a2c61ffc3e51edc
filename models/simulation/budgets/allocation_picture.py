"""The token budget's curves as a picture: accuracy by tokens, and by questions learnt from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def draw(each: Sequence[dict[str, Any]], path: Path) -> None:
    """Means over the seeds, `each` what `allocation.run` returned for one, and a thin line for every seed. SVG or PNG
    by the name."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "croupier", "font.size": 9})
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained", sharey=True)
    for name, key, colour in (("clairvoyant", "clairvoyant", "tab:green"), ("learnt", "learnt", "tab:blue")):
        found = np.array([one[key] for one in each])  # (seeds, totals, [accuracy, tokens])
        for one in found:
            left.plot(one[:, 1], one[:, 0], color=colour, lw=0.4, alpha=0.4)
        left.plot(found[:, :, 1].mean(axis=0), found[:, :, 0].mean(axis=0), color=colour, label=name, lw=1.4)
    fixed = {int(tokens): np.mean([one["fixed"][tokens] for one in each]) for tokens in each[0]["fixed"]}
    left.plot(list(fixed), list(fixed.values()), "o-", color="tab:red", label="the same everywhere", lw=1, ms=3)
    left.set(xlabel="tokens a patch, spent", ylabel="P(right answer)")
    left.legend(frameon=False, fontsize=7)
    curves = np.array([one["curve"] for one in each])  # (seeds, checkpoints, [questions, accuracy])
    for one in curves:
        right.plot(one[:, 0], one[:, 1], color="tab:blue", lw=0.4, alpha=0.4)
    right.plot(curves[0, :, 0], curves[:, :, 1].mean(axis=0), color="tab:blue", lw=1.4)
    right.axhline(fixed[128], color="tab:red", lw=1)
    right.set(xlabel="questions learnt from, one bit each", title="at 128 tokens a patch", xscale="symlog")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
