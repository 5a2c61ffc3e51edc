"""Arms without a past whose rewards do not come at all. Nobody knows what they should earn, but not even the least
liked arm earns nothing for so long.

With E rewards due by the rate of the least liked known arm and none found, e^E is the ratio of likelihoods of "none
ever come" to that rate or any higher one: its mean under those is at most 1 at any time (Ville 1939), so that the
evidence counts like that of the detectors.
"""

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.alike.streams import SHARE, by_arms
from croupier.models.health.residuals import Whole
from croupier.models.health.season import View
from croupier.models.health.symptom import ACT, Symptom

REWARDED = 3  # column of the decisions with a reward


def unrewarded(view: View, limits: tuple[float, float], needed: float) -> list[Symptom]:
    """Returns a symptom for each arm that was first shown in the recent hours, whose decisions have no reward, where
    that is as sure as an alarm must be. `needed`: nats of a single stream."""
    arms = {arm: x for arm, x in view.history.sums["arm"].items() if _is_new(view, x)}
    silent = {arm: x for arm, x in arms.items() if not x[:, REWARDED].any()}
    every = by_arms(view, SHARE, limits) if silent else None
    if every is None:
        return []
    n = every.own[..., 0].sum(axis=1) * every.exposure.offer
    course = Whole(view, np.stack([n, every.own[..., 1].sum(axis=1)], axis=1)).means[: view.R]
    least = course * float(every.exposure.rate.min())
    needed += float(np.log(len(arms)))
    due = {arm: float(view.recent(x)[:, 0] @ least) for arm, x in silent.items()}
    return [_symptom(view, arm, silent[arm], nats, needed) for arm, nats in due.items() if nats >= needed]


def _is_new(view: View, sums: F64) -> bool:
    return bool(sums[:, 0].any()) and not view.base(sums)[..., 0].any()


def _symptom(view: View, arm: str, sums: F64, due: float, needed: float) -> Symptom:
    shown = sums[:, 0]
    says = f"rewards of arm {arm} do not come: none of its {shown.sum():,.0f} decisions has one since it is new"
    return Symptom(
        watch="reward",
        about=f"{SHARE}, arm {arm}",
        level=ACT,
        cause="reward_feed_arm",
        number=0.0,
        threshold=1.0,
        since=int(view.history.start[int(np.flatnonzero(shown)[0])]),
        says=f"{says}, and the least liked arm would have had {due:,.0f}",
        remedy=f"look at what sends rewards for {arm} (a new page without its tag); send the rest late",
        nats=due,
        needed=needed,
    )
