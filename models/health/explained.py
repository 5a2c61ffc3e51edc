"""Which part of the traffic explains a fall of the reward best: everything, one arm, or one segment.

For a part with E expected and O observed rewards since the change, a ratio ρ = O/E within it gains O log ρ − E(ρ − 1)
nats over "nothing changed" (Poisson likelihood); the part that gains most explains the fall. Chance makes one of P
parts fall more than everything does, so a part must gain log P nats more than everything: a prior of 1/P each. Where
the part is an arm, its fall may be that of a segment whose tastes turned: arms within segments tell (turned.py).
"""

from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.residuals import Whole, due_sums
from croupier.models.health.season import View
from croupier.models.health.symptom import Told
from croupier.models.health.turned import Turned, gain, turned

GONE = 0.08  # ratio below which rewards do not fade, they are not logged any more
MEAN, SHARE = "reward", "share of decisions with a reward"
GROUPS = ("all", "arm", "segment")
SHARPER = 3.0  # nats
LARGE = 0.05  # of the reward: a smaller fall is watched, however sure


@dataclass(frozen=True)
class Part:
    """A part of the traffic, what it got and should have got, and what its ratio explains."""

    group: str
    key: str
    found: float
    due: float
    behind: float = 0.0  # rewards that `due` is drawn from

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


def _watched(sums: F64, what: str, limits: tuple[float, float]) -> F64:
    """Returns (T, 3) of the reward within [0, 1], or of whether there was one."""
    return in_range(sums, limits) if what == MEAN else sums[:, [0, 3, 3]]


def measured(view: View, what: str, limits: tuple[float, float]) -> dict[tuple[str, str], F64]:
    """Returns (group, key) → (T, 3) of what is watched."""
    return {
        (group, key): _watched(sums, what, limits) for group in GROUPS for key, sums in view.history.sums[group].items()
    }


def parts(view: View, what: str, limits: tuple[float, float], since: int) -> list[Part]:
    """Everything, each arm and each segment, since the `since`-th recent hour."""
    streams = measured(view, what, limits)
    whole, out = Whole(view, streams["all", ""]), []
    for (group, key), sums in streams.items():
        if view.base(sums)[..., 1].sum() > 0:
            due, behind = float(due_sums(view, sums, whole)[since:].sum()), float(view.base(sums)[..., 1].sum())
            out.append(Part(group, key, float(view.recent(sums)[since:, 1].sum()), due, behind))
    return out


def explain(view: View, what: str, limits: tuple[float, float], stream: tuple[str, str], since: int) -> Told:
    """What a fall in one stream means."""
    since = sharpened(view, what, limits, stream, since)
    found = parts(view, what, limits, since)
    price = float(np.log(max(len(found) - 1, 1)))
    best = max(found, key=lambda part: part.gain - (price if part.group != "all" else 0.0))
    mine = next((p for p in found if (p.group, p.key) == stream), best)
    part = best if best.gain > 0 else mine
    segment = _turned(view, what, limits, since) if part.group == "arm" and part.ratio >= GONE else None
    fallen = [gain(p.found, p.due, p.behind) for p in found if p.ratio < 1]  # everything among them
    if segment is not None and segment.gain > max(fallen, default=0.0):
        return _told(Part("segment", segment.segment, segment.found, segment.due), segment)
    return _told(part)


def sharpened(view: View, what: str, limits: tuple[float, float], stream: tuple[str, str], since: int) -> int:
    """Returns the hour from which on one ratio explains most of the stream's fall, if that explains a good deal more
    than the ratio since the `since`-th recent hour, which the detector's few alternatives gave. One sound hour among
    those of a feed that broke makes it look like one that fades."""
    streams = measured(view, what, limits)
    whole = Whole(view, streams["all", ""])
    due, found = due_sums(view, streams[stream], whole), view.recent(streams[stream])[:, 1]
    gains = np.array([Part(*stream, float(found[t:].sum()), float(due[t:].sum())).gain for t in range(view.R)])
    best = int(gains.argmax())
    return best if gains[best] > gains[since] + SHARPER else since


def _turned(view: View, what: str, limits: tuple[float, float], since: int) -> Turned | None:
    columns = {key: _watched(sums, what, limits) for key, sums in view.history.by_cell().items()}
    whole = Whole(view, _watched(view.history.sums["all"][""], what, limits))
    return turned(view, columns, whole, since)


def _told(part: Part, segment: Turned | None = None) -> Told:
    """`segment`: the part is one whose arms changed, for better and worse, so that its sum says too little."""
    cause, says, remedy = _words(part, segment.arms if segment else "")
    serious = part.ratio < 1 - LARGE or (segment is not None and segment.moved > LARGE)
    return Told(cause=cause, number=part.ratio, threshold=1 - LARGE, says=says, remedy=remedy, serious=serious)


def _words(part: Part, arms: str) -> tuple[str, str, str]:
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
            f"{part.key.replace('=', ' ')} does not like any more what it liked: {fall}{arms and '; arms ' + arms}",
            ("retrain on rows after the change ([training] adapt), and let it explore: raise [policies] floor"),
        )
    return (
        "rewards_lost",
        f"rewards are lost, of all arms and segments alike: {fall}",
        ("compare the app's own count of rewards with `croupier account`; look at what sends and ships them"),
    )
