"""Does each feature still say anything of the reward, linearly or not? Categories, too, which have no correlation.

The mutual information of a day (learning/information.py) is told where it was LEAST or more on the days before, is
below that in the last day, and has fallen as surely as an alarm must be sure, by how much the days before differ, and
by chance. LEAST is what |r| = 0.1 comes to, the threshold of association.py. It is only ever watched, and a feature
whose |r| is told already is not told twice.
"""

from collections.abc import Collection, Sequence

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.learning.information import by_day, deviation, information
from croupier.models.health.season import DAY_HOURS, View
from croupier.models.health.symptom import TO_WATCH, Symptom
from croupier.models.health.watches.association import DAYS, ROWS

LEAST = 0.005  # nats
CAUSE = "feature_uninformative"


def symptoms(view: View, needed: float, *, but: Collection[str] = ()) -> list[Symptom]:
    """Returns a symptom for each feature that said something of the reward and does not any more; none for those in
    `but`. `needed`: nats of an alarm."""
    out = []
    for name, feature in view.history.features.items():
        days = [day for day in by_day(feature) if day[0].sum() >= ROWS] if name not in but else []
        if len(days) <= DAYS or feature.told[-DAY_HOURS:, 0].sum() < ROWS:
            continue
        *before, now = map(information, days)
        usual = float(np.mean(before))
        if usual >= LEAST > now and _nats(days[-1], before, usual - now) >= needed:
            out.append(_symptom(view, name, usual, now))
    return out


def _nats(last: F64, before: Sequence[float], fall: float) -> float:
    """Returns z²/2 of a fall, whose deviation is that of the days before, and at least that of chance."""
    apart = max(float(np.std(before, ddof=1)), deviation(last, float(np.mean(before))))
    return float((fall / apart) ** 2 / 2 / (1 + 1 / len(before)))


def _symptom(view: View, name: str, usual: float, now: float) -> Symptom:
    return Symptom(
        watch="feature",
        about=f"{name} and whether there is a reward",
        level=TO_WATCH,
        cause=CAUSE,
        number=max(now, 0.0),
        threshold=LEAST,
        since=int(view.history.start[-DAY_HOURS]),
        says=f"{name} says nothing of the reward any more: its mutual information is {max(now, 0.0):.4f} nats in the "
        f"last day, it was {usual:.4f}",
        remedy="look at its source; where that is right, retrain on recent rows, and until then explore more: raise "
        "[policies] floor",
    )
