"""The published rule of thumb, for those who ask for it: today against the same day a week ago, by more than a share.

It knows neither how many rewards a day has nor how much they vary, so that nobody can say how often it is wrong; with
few rewards it is wrong often (models/HEALTH.md counts it). Hence it is off unless [health] reward_change is set.
Quantiles are those of a sketch: a change is told where it is larger by more than the sketch is coarse.
"""

from collections.abc import Iterator

from croupier.features.health import sketch
from croupier.models.health.history import History
from croupier.models.health.season import DAY_HOURS, WEEK_HOURS
from croupier.models.health.symptom import ACT, Symptom

QUANTILES = {"5th percentile": 0.05, "95th percentile": 0.95}


def symptoms(history: History, share: float | None) -> list[Symptom]:
    """Returns a symptom for each figure of the reward that differs by more than `share`; none where that is None, or
    where the day a week ago is not known."""
    if share is None or len(history) < DAY_HOURS + WEEK_HOURS:
        return []
    T = len(history)
    now, before = (dict(figures(history.span(end - DAY_HOURS, end))) for end in (T, T - WEEK_HOURS))
    ratios = {name: now[name] / before[name] for name in now.keys() & before.keys() if before[name] > 0}
    sure = {name: _at_least(ratio) if name in QUANTILES else ratio for name, ratio in ratios.items()}
    changed = [name for name in ("mean", "variance", *QUANTILES) if abs(sure.get(name, 1.0) - 1) > share]
    return [_symptom(history, name, ratios[name], now[name], share) for name in changed]


def _at_least(ratio: float) -> float:
    """Returns the ratio of two quantiles that is the nearest to 1 of those that their bins allow."""
    return max(ratio / sketch.RATIO, 1.0) if ratio > 1 else min(ratio * sketch.RATIO, 1.0)


def figures(day: History) -> Iterator[tuple[str, float]]:
    """Yields the mean, the variance and the quantiles of a day's rewards; nothing of a day without decisions, and no
    quantiles of rewards that have two values, whose mean says all."""
    n, s, squares, _ = day.sums["all"][""].sum(axis=0) if "" in day.sums["all"] else (0.0, 0.0, 0.0, 0.0)
    if not n:
        return
    yield "mean", float(s / n)
    yield "variance", float(max(squares / n - (s / n) ** 2, 0.0))
    if len(day.rewards) <= 2:
        return
    counts = {key: int(rows[:, 0].sum()) for key, rows in day.rewards.items()}
    for name, share in QUANTILES.items():
        value = sketch.quantile(counts, share)
        if value is not None:
            yield name, value


def _symptom(history: History, name: str, ratio: float, now: float, share: float) -> Symptom:
    return Symptom(
        watch="reward",
        about=f"reward, {name}",
        level=ACT,
        cause="reward_change",
        number=ratio,
        threshold=1 + share if ratio > 1 else 1 - share,
        since=int(history.start[-DAY_HOURS]),
        says=f"the reward's {name} is {now:.4g} in the last day, {ratio - 1:+.0%} beside the same day a week ago",
        remedy=f"[health] reward_change asks to be told of {share:.0%}; whether it is chance, the other watches say",
    )
