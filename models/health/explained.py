"""Which part of the traffic explains a fall of the reward best: everything, one arm, or one segment.

For a part with E expected and O observed rewards since the change, a ratio ρ = O/E within it gains O log ρ − E(ρ − 1)
nats over "nothing changed" (Poisson likelihood); the part that gains most explains the fall. Chance makes one of P
parts fall more than everything does, so a part must gain log P nats more than everything: a prior of 1/P each. Where
the part is an arm, its fall may be that of a segment whose tastes turned: arms within segments tell (turned.py).
"""

from dataclasses import dataclass

import numpy as np

from croupier.models.health.alike.choices import Choices, choices
from croupier.models.health.alike.streams import by_cell, streams
from croupier.models.health.residuals import due_sums
from croupier.models.health.season import View
from croupier.models.health.symptom import Told
from croupier.models.health.turned import Turned, gain, turned

GONE = 0.08  # ratio below which rewards do not fade, they are not logged any more
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


def parts(view: View, what: str, limits: tuple[float, float], since: int) -> list[Part]:
    """Everything, each arm and each segment, since the `since`-th recent hour."""
    made, out = streams(view, what, limits), []
    for (group, key), sums in made.sums.items():
        if view.base(sums)[..., 1].sum() > 0:
            due, behind = float(due_sums(view, sums, made.whole)[since:].sum()), float(view.base(sums)[..., 1].sum())
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
    if part.group == "all" and (of := choices(view, what, limits, since)) is not None and of.explain:
        return _worse(of)
    return _told(part)


def _worse(of: Choices) -> Told:
    """The policy chooses worse: each arm earns what it did."""
    ratio = of.found / max(of.due, 1e-12)
    fall = f"{of.found:,.0f} instead of the {of.due:,.0f} that its past choices would have earned ({ratio - 1:+.0%})"
    return Told(
        cause="worse_choices",
        number=ratio,
        threshold=1 - LARGE,
        says=f"arms that earn less are chosen, of the same offers: {fall}; the arms themselves earn what they did",
        remedy="what decides since then (`croupier release list`)? Roll it back, or let it explore less",
        serious=ratio < 1 - LARGE,
    )


def sharpened(view: View, what: str, limits: tuple[float, float], stream: tuple[str, str], since: int) -> int:
    """Returns the hour from which on one ratio explains most of the stream's fall, if that explains a good deal more
    than the ratio since the `since`-th recent hour, which the detector's few alternatives gave. One sound hour among
    those of a feed that broke makes it look like one that fades."""
    made = streams(view, what, limits)
    due, found = due_sums(view, made.sums[stream], made.whole), view.recent(made.sums[stream])[:, 1]
    gains = np.array([Part(*stream, float(found[t:].sum()), float(due[t:].sum())).gain for t in range(view.R)])
    best = int(gains.argmax())
    return best if gains[best] > gains[since] + SHARPER else since


def _turned(view: View, what: str, limits: tuple[float, float], since: int) -> Turned | None:
    return turned(view, by_cell(view, what, limits), streams(view, what, limits).whole, since)


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
