"""The health page of an app: the cause first, what to do, every symptom, and the hours that say so. No outside request;
it reads the same in a mail, from a disk and in Airflow."""

from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.quality.pages import charts
from croupier.features.quality.pages.page import render
from croupier.features.quality.time_labels import time_labels
from croupier.models.health.history import EXPLORE, History
from croupier.models.health.season import DAY_HOURS, WEEK_HOURS
from croupier.models.health.symptom import ACT, FINE, TO_WATCH, Symptom
from croupier.models.health.watches.exploration import entropy
from croupier.serving.health import told
from croupier.serving.health.examine import Examined
from croupier.serving.health.rows import alike, figures, watches

SHOWN = 2 * WEEK_HOURS  # hours of the charts
WORDS = {FINE: "well", TO_WATCH: "well, with something to watch", ACT: "needs you"}
STYLES = {FINE: "good", TO_WATCH: "warn", ACT: "bad"}
UNKNOWN = ("not known yet", "open")  # never "well" by default


def render_page(found: Examined) -> str:
    """Returns the page as HTML."""
    d, level, known = found.diagnosis, told.level(found), told.known(found)
    word, style = (WORDS[level], STYLES[level]) if known or level == ACT else UNKNOWN
    return render(
        __package__,
        "verdict_page.html.j2",
        title=f"{found.app}: {word}",
        app=found.app,
        word=word,
        style=style,
        sentence=told.sentence(found),
        remedy=d.remedy if d and level == ACT else "",
        symptoms=[_row(each) for each in alike(d.symptoms)] if d else [],
        silenced=told.silenced(found),
        agreement=told.agreement(found),
        left_out=found.left_out.items(),
        judged=told.judged(d) if d and known else "",
        changes=[told.change_text(change) for change in found.changes],
        linear=found.linear,
        linear_says=told.linear_text(found.linear) if found.linear else "",
        numbers=_numbers(found.history) if found.history else [],
        boxes=_boxes(found.history) if found.history else [],
    )


def _row(symptoms: list[Symptom]) -> tuple[Any, ...]:
    """Returns the symptom, its sign and style, what was found, the threshold, and where else it shows."""
    s = symptoms[0]
    return (s, *told.mark(s), *figures(s), watches(symptoms))


def _numbers(h: History) -> list[tuple[str, str, str]]:
    """Returns (what, today, the seven days before)."""
    now, before = (
        h.span(max(0, len(h) - DAY_HOURS), len(h)),
        h.span(max(0, len(h) - DAY_HOURS - WEEK_HOURS), max(0, len(h) - DAY_HOURS)),
    )
    return [(name, show(now), show(before)) for name, show in _SHOWN.items()]


def _share(top: F64, bottom: F64) -> float:
    return float(top.sum() / bottom.sum()) if bottom.sum() > 0 else float("nan")


def _text(value: float, form: str) -> str:
    return "–" if np.isnan(value) else format(value, form)


def _of(h: History, name: str) -> F64:
    return np.asarray(h.explore[:, EXPLORE.index(name)])


def _every(h: History) -> F64:
    return h.sums["all"].get("", np.zeros((len(h), 4)))


_SHOWN: dict[str, Any] = {
    "decisions": lambda h: f"{h.n.sum():,.0f}",
    "arms on offer": lambda h: f"{sum(x[:, 0].any() for x in h.offered.values()):,}",
    "arms shown": lambda h: f"{sum(x[:, 0].any() for x in h.sums['arm'].values()):,}",
    "reward per decision": lambda h: _text(_share(_every(h)[:, 1], h.n), ".4f"),
    "decisions with a reward": lambda h: _text(_share(_every(h)[:, 3], h.n), ".2%"),
    "time to the reward (geometric mean)": lambda h: _text(
        float(np.exp(_share(h.delay[:, 0] * h.delay[:, 1], h.delay[:, 0]))), ",.1f"
    ) + " s",
    "normalised selection entropy": lambda h: _text(_share(_of(h, "entropy"), _of(h, "n")), ".3f"),
    "greedy decisions": lambda h: _text(_share(_of(h, "greedy"), _of(h, "n")), ".1%"),
    "calibration of propensities, Σ 1/(K p) / n": lambda h: _text(_share(_of(h, "inverse"), _of(h, "n")), ".3f"),
    "most active unit's share": lambda h: _text(_share(h.unit[:, 0], h.n), ".2%"),
}  # fmt: skip


def _boxes(history: History) -> list[tuple[str, str, str]]:
    """Returns (title, what it says, chart) of the last two weeks."""
    h = history.span(max(0, len(history) - SHOWN), len(history))
    ticks = time_labels(h.start.tolist())
    n = h.n
    reward = np.where(n > 0, _every(h)[:, 1] / np.maximum(n, 1), np.nan)
    seconds = np.where(h.delay[:, 0] > 0, np.exp(h.delay[:, 1]), np.nan)
    series = (
        ("Reward per decision", "hour by hour", reward, True),
        ("Decisions", "an hour", n, True),
        ("Selection entropy", "normalised: 0 is greedy, 1 uniform", entropy(h.explore), True),
        ("Time to the reward", "seconds, geometric mean", seconds, True),
    )
    return [(title, says, _line(title, values, ticks, zero)) for title, says, values, zero in series]


def _line(title: str, values: F64, ticks: list[str], zero: bool) -> str:
    known = [None if np.isnan(v) else float(v) for v in values]
    label = f"{title}, {ticks[0]} to {ticks[-1]} UTC: {charts.spoken(known)}"
    return charts.lines({title: known}, ticks, zero=zero, label=label, dots=False)
