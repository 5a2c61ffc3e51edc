"""Does each feature still go with the reward? One that stops telling anything is stale, wrong, or of no use any more.

Pearson's r of a feature and the reward is taken within hours and added up by days, so that seasons do not count. It is
told where it was LEAST or more (a published rule of thumb), is below that in the last day, and has fallen as surely as
an alarm must be sure, by how much the days before differ from each other. It is only ever watched.
"""

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.season import DAY_HOURS, View
from croupier.models.health.symptom import TO_WATCH, Symptom

LEAST = 0.1
ABOUT = " and the reward"  # behind the feature's name
DAYS = 3  # before the last one, without which nobody knows what is usual
ROWS = 500.0  # of the last day, without which it says nothing


def silent(view: View, needed: float) -> list[Symptom]:
    """Returns a symptom for each number that went with the reward and does not any more. `needed`: nats of an alarm."""
    out = []
    for name, feature in view.history.features.items():
        days = by_day(feature.reward)
        if len(days) <= DAYS or feature.reward[-DAY_HOURS:, 0].sum() < ROWS:
            continue
        before, now = days[:-1][np.isfinite(days[:-1])], days[-1]
        usual = float(before.mean()) if len(before) else 0.0
        now = abs(now) if np.isfinite(now) else 0.0
        if abs(usual) >= LEAST > now and _nats(feature.reward, before, abs(usual) - now) >= needed:
            out.append(_symptom(view, name, abs(usual), float(now)))
    return out


def by_day(rows: F64) -> F64:
    """Returns (days,) r of each whole day that ends with the last hour, NaN where one of the two did not vary. `rows`
    (T, 6): n, mean x, Σ(x − x̄)², mean r, Σ(r − r̄)², Σ(x − x̄)(r − r̄) of each hour."""
    whole = rows[len(rows) % DAY_HOURS :].reshape(-1, DAY_HOURS, rows.shape[1]).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(whole[:, 5] / np.sqrt(whole[:, 2] * whole[:, 4]))


def _nats(rows: F64, before: F64, fall: float) -> float:
    """Returns z²/2 of a fall, whose deviation is that of the days before, and at least that of independent rows."""
    independent = 1 / np.sqrt(max(float(rows[-DAY_HOURS:, 0].sum()), 1.0))
    deviation = max(float(before.std(ddof=1)) if len(before) > 1 else np.inf, independent)
    return float((fall / deviation) ** 2 / 2 / (1 + 1 / max(len(before), 1)))


def _symptom(view: View, name: str, usual: float, now: float) -> Symptom:
    return Symptom(
        watch="feature",
        about=f"{name}{ABOUT}",
        level=TO_WATCH,
        cause="feature_silent",
        number=now,
        threshold=LEAST,
        since=int(view.history.start[-DAY_HOURS]),
        says=f"{name} does not go with the reward any more: |r| is {now:.2f} in the last day, it was {usual:.2f}",
        remedy="look at its source; where that is right, retrain on recent rows, and until then explore more: raise "
        "[policies] floor",
    )
