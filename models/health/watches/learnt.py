"""Is what serves still a good prediction, and can its posterior be computed? Both are only ever watched."""

from collections.abc import Iterable

from croupier.models.health.learning.calibration import RewardCalibration
from croupier.models.health.learning.condition import MOST, HeadCondition
from croupier.models.health.symptom import TO_WATCH, Symptom


def symptoms(champion: RewardCalibration | None, conditions: Iterable[HeadCondition], *, at: int) -> list[Symptom]:
    """Returns a symptom where the champion predicts surely worse than the mean reward would, and for each head whose
    precision is so ill-conditioned that its mean is not to be relied on. `at`: the end of the training's rows, UTC
    µs."""
    found = [_unreliable(each, at) for each in conditions if each.unreliable]
    return ([_poor(champion)] if champion and champion.useless else []) + found


def _poor(found: RewardCalibration) -> Symptom:
    return Symptom(
        watch="model",
        about=f"predictions of {found.who}",
        level=TO_WATCH,
        cause="poor_prediction",
        number=found.skill,
        threshold=0.0,
        since=found.since,
        says=f"the rewards that {found.who} predicts are further from what comes than the mean reward is: the squared "
        f"error is {-found.skill:.0%} larger, {found.worse:.1f} standard errors, over {found.rows:,} later decisions",
        remedy="see what changed since it was trained (features, the scale of the reward); a policy trained on recent "
        "rows is judged by the gate: `croupier gate report`",
    )


def _unreliable(found: HeadCondition, at: int) -> Symptom:
    alike = ", ".join(f"{pair.one} and {pair.other}" for pair in found.alike[:3])
    return Symptom(
        watch="model",
        about=f"posterior of {found.who}",
        level=TO_WATCH,
        cause="unreliable_posterior",
        number=found.number,
        threshold=MOST,
        since=at,
        says=f"the posterior of {found.who} cannot be relied on to four digits: the condition number of its precision "
        f"is {found.number:.1e}" + (f"; nearly the same are {alike}" if alike else ""),
        remedy="leave one of two features that say the same out of app.toml, and see that none has another scale than "
        "it had",
    )
