"""The reward, of everything, by arm and by segment, against the same hours of past weeks.

A fall is named by who explains it best (models/health/explained.py): one arm's rewards gone at once, one arm fading,
one segment turned over, or rewards lost everywhere. Where rewards are not 0 or 1, the share of decisions that got any
is watched beside their mean. Where an hour has few rewards, counts.py takes the place of the residuals.
"""

from functools import partial

import numpy as np

from croupier.features.batch import F64
from croupier.models.health import counts
from croupier.models.health.alike.streams import MEAN, SHARE, Streams, streams
from croupier.models.health.explained import explain
from croupier.models.health.residuals import Whole, due_sums, of_sums
from croupier.models.health.season import View
from croupier.models.health.symptom import Signal, Told

LEAST = 30.0  # expected rewards in the baseline, without which a stream is not watched


def signals(view: View, limits: tuple[float, float]) -> list[Signal]:
    """Returns the signals of all rewards, of each arm and of each segment. `limits`: the range of a reward."""
    if "" not in view.history.sums["all"]:
        return []
    every = view.history.sums["all"][""]
    binary = np.array_equal(every[:, 1], every[:, 3])
    out = []
    for what in (MEAN,) if binary else (MEAN, SHARE):
        made = streams(view, what, limits)
        for (group, key), sums in made.sums.items():
            if view.base(sums)[..., 1].sum() >= LEAST:
                out += _both(view, what, limits, stream=(group, key), made=made)
    return out


def _both(
    view: View, what: str, limits: tuple[float, float], *, stream: tuple[str, str], made: Streams
) -> list[Signal]:
    """A fall, which alarms, and a rise, which is watched: good news wakes nobody, but double counting looks so."""
    sums, whole = made.sums[stream], made.whole
    z, c, spread = of_sums(view, sums, whole, least=made.wider.get(stream[0], 1.0))
    steps = counts.fallen(view, sums, spread) if counts.is_counted(sums) and counts.few(view, sums) else None
    about = f"{what}, {' '.join(stream).strip()}"
    explained = partial(explain, view, what, limits, stream)
    fall = Signal(watch="reward", about=about, z=-z, c=c, steps=steps, tell=explained)
    rise = Signal(watch="reward", about=about, z=z, c=c, tell=partial(_rise, view, about, sums, whole), alarming=False)
    return [fall, rise]


def _rise(view: View, about: str, sums: F64, whole: Whole, since: int) -> Told:
    found, due = view.recent(sums)[since:, 1].sum(), due_sums(view, sums, whole)[since:].sum()
    ratio = float(found / max(due, 1e-12))
    says = f"the {about}, is {ratio - 1:+.0%} over the same hours of past weeks"
    remedy = "look whether a reward is counted twice; where not, be glad"
    return Told(cause="reward_rise", number=ratio, threshold=1.0, says=says, remedy=remedy, serious=False)
