"""Which part of the traffic explains a fall of the reward best: everything, one arm, or one segment.

For a part with E expected and O observed rewards since the change, a ratio ρ = O/E within it gains O log ρ − E(ρ − 1)
nats over "nothing changed" (Poisson likelihood); the part that gains most explains the fall.
"""

from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.residuals import Whole, due_sums
from croupier.models.health.season import View
from croupier.models.health.symptom import Told

GONE = 0.08  # ratio below which rewards do not fade, they are not logged any more
MEAN, SHARE = "reward", "share of decisions with a reward"
GROUPS = ("all", "arm", "segment")
LARGE = 0.05  # of the reward: a smaller fall is watched, however sure


@dataclass(frozen=True)
class Part:
    """A part of the traffic, what it got and should have got, and what its ratio explains."""

    group: str
    key: str
    found: float
    due: float

    @property
    def ratio(self) -> float:
        """Observed over expected rewards."""
        return self.found / max(self.due, 1e-12)

    @property
    def gain(self) -> float:
        """Nats over "nothing changed"; 0 for a rise."""
        if self.ratio >= 1 or self.due <= 0:
            return 0.0
        return float((self.found * np.log(self.ratio) if self.found > 0 else 0.0) - self.found + self.due)


def in_range(sums: F64, limits: tuple[float, float]) -> F64:
    """Returns (T, 3): n, Σr, Σr² of rewards that are moved from `limits` to [0, 1]."""
    low, high = limits
    width = max(high - low, 1e-12)
    n, s, square = sums[:, 0], sums[:, 1], sums[:, 2]
    return np.stack([n, (s - low * n) / width, (square - 2 * low * s + low * low * n) / width**2], axis=1)


def measured(view: View, what: str, limits: tuple[float, float]) -> dict[tuple[str, str], F64]:
    """Returns (group, key) → (T, 3) of what is watched: the reward within [0, 1], or whether there was one."""
    out = {}
    for group in GROUPS:
        for key, sums in view.history.sums[group].items():
            out[group, key] = in_range(sums, limits) if what == MEAN else sums[:, [0, 3, 3]]
    return out


def parts(view: View, what: str, limits: tuple[float, float], since: int) -> list[Part]:
    """Everything, each arm and each segment, since the `since`-th recent hour."""
    streams = measured(view, what, limits)
    whole, out = Whole(view, streams["all", ""]), []
    for (group, key), sums in streams.items():
        if view.base(sums)[..., 1].sum() > 0:
            due = float(due_sums(view, sums, whole)[since:].sum())
            out.append(Part(group, key, float(view.recent(sums)[since:, 1].sum()), due))
    return out


def explain(view: View, what: str, limits: tuple[float, float], stream: tuple[str, str], since: int) -> Told:
    """What a fall in one stream means."""
    found = parts(view, what, limits, since)
    best = max(found, key=lambda part: part.gain)
    mine = next((p for p in found if (p.group, p.key) == stream), best)
    return _told(best if best.gain > 0 else mine)


def _told(part: Part) -> Told:
    cause, says, remedy = _words(part)
    return Told(
        cause=cause, number=part.ratio, threshold=1 - LARGE, says=says, remedy=remedy, serious=part.ratio < 1 - LARGE
    )


def _words(part: Part) -> tuple[str, str, str]:
    fall = f"{part.found:,.0f} instead of the {part.due:,.0f} of the same hours in past weeks ({part.ratio - 1:+.0%})"
    if part.group == "arm" and part.ratio < GONE:
        return (
            "reward_feed_arm",
            f"rewards of arm {part.key} are not logged any more: {fall}",
            f"look at what sends rewards for {part.key} (a renamed event, a page without its tag); send the rest late",
        )
    if part.group == "arm":
        return (
            "dying_arm",
            f"arm {part.key} wins less and less: {fall}",
            (f"`croupier arm pause {part.key}` if it has had its time; else retrain on rows after the change"),
        )
    if part.group == "segment":
        return (
            "taste_flip",
            f"{part.key.replace('=', ' ')} does not like any more what it liked: {fall}",
            ("retrain on rows after the change ([training] adapt), and let it explore: raise [policies] floor"),
        )
    return (
        "rewards_lost",
        f"rewards are lost, of all arms and segments alike: {fall}",
        ("compare the app's own count of rewards with `croupier account`; look at what sends and ships them"),
    )
