"""Did something else begin to decide when a symptom began: another release, or a role with a larger share?"""

import numpy as np

from croupier.models.health.season import View

AROUND = (
    6  # hours before and after; the two hours next to the beginning, whose time is an estimate, are left out before
)
SHIFT = 0.1  # of the decisions


def takeover(view: View, since: int) -> str:
    """What took over when the `since`-th recent hour began, in words; "" where nothing did."""
    at = view.m * view.P + since
    for group in ("release", "role"):
        sums = view.history.sums[group]
        names = sorted(sums)
        if not names:
            continue
        n = np.stack([sums[name][:, 0] for name in names])
        parts = n[:, max(at - 2 - AROUND, 0) : max(at - 1, 1)], n[:, at : at + AROUND]
        before, after = (x.sum(axis=1) / max(float(x.sum()), 1.0) for x in parts)
        k = int((after - before).argmax())
        if after[k] - before[k] > SHIFT:
            grown = f"from {before[k]:.0%} to {after[k]:.0%} of the decisions"
            return f"release {names[k]}" if group == "release" else f"the {names[k]}, {grown}"
    return ""
