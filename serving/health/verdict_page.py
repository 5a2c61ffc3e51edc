"""The health page of an app: the cause first, what to do, every symptom, and the hours that say so. No outside request;
it reads the same in a mail, from a disk and in Airflow."""

from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.quality.pages import charts
from croupier.features.quality.pages.page import render
from croupier.features.quality.time_labels import time_labels
from croupier.models.health.history import EVENTS, EXPLORE, History
from croupier.models.health.season import DAY_HOURS, WEEK_HOURS
from croupier.models.health.symptom import ACT, FINE, TO_WATCH, Symptom
from croupier.models.health.watches.exploration import entropy
from croupier.models.health.watches.served import ServedDay
from croupier.models.health.watches.thumb import QUANTILES
from croupier.models.health.watches.thumb import figures as of_rewards
from croupier.serving.health import learning_rows, told
from croupier.serving.health.examine import Examined
from croupier.serving.health.rows import alike, figures, watches

NOT_KNOWN = "–"
SHOWN = 2 * WEEK_HOURS  # hours of the charts
WORDS = {FINE: "well", TO_WATCH: "well, with something to watch", ACT: "needs you"}
STYLES = {FINE: "good", TO_WATCH: "warn", ACT: "bad"}
MARKS = {FINE: ("✓ fine", "good"), TO_WATCH: ("● watch", "warn"), ACT: ("▲ act", "bad"), "": ("– not judged", "dim")}
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
        price_says=told.prices(found),
        prices=found.prices,
        left_out=found.left_out.items(),
        judged=told.judged(d) if d and known else "",
        changes=[told.change_text(change) for change in found.changes],
        linear=found.linear,
        linear_says=told.linear_text(found.linear) if found.linear else "",
        numbers=_numbers(found.history) if found.history else [],
        parts=_parts(found),
        served=_served(found.served) if found.served else [],
        learning=learning_rows.shown(found.learnt, d.symptoms if d else ()),
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
    found = [(name, show(now), show(before)) for name, show in _SHOWN.items()]
    return [row for row in found if row[1:] != (NOT_KNOWN, NOT_KNOWN)]


def _parts(found: Examined) -> list[tuple[str, ...]]:
    """Returns (sign and level, style, which, since, decisions, share, reward, of due, fallbacks, what to do) of each
    line."""
    out = []
    for part in found.parts:
        sign, style = MARKS[part.level]
        numbers = f"{part.decisions:,}", f"{part.share:.1%}", *(
            NOT_KNOWN if x is None else format(x, form)
            for x, form in ((part.reward, ".4f"), (part.number, ".0%"), (part.fallbacks, ".2%"))
        )  # fmt: skip
        which = f"{part.group} {part.key}".replace("=", " ") if part.key else "everything"
        since = "" if part.since is None else told.time_text(part.since)
        out.append((sign, style, which, part.judged, since, *numbers, part.remedy))
    return out


def _served(day: ServedDay) -> list[tuple[str, str]]:
    """Returns (what, figure) of how the last day was served."""
    times = [(f"milliseconds a decision, {name}", x) for name, x in (("median", day.p50_ms), ("p99", day.p99_ms))]
    return [
        ("decisions a second, on average", f"{day.per_second:,.2f}"),
        ("decisions a second, in the busiest hour", f"{day.busiest:,.2f}"),
        *[(name, "–" if x is None else f"{x:,.2g}") for name, x in times],
        ("fallbacks", f"{day.share:.2%}"),
        *[(f"fallbacks: {reason}", f"{n:,}") for reason, n in day.fallbacks.items()],
    ]


def _share(top: F64, bottom: F64) -> float:
    return float(top.sum() / bottom.sum()) if bottom.sum() > 0 else float("nan")


def _text(value: float, form: str) -> str:
    return NOT_KNOWN if np.isnan(value) else format(value, form)


def _of(h: History, name: str) -> F64:
    return np.asarray(h.explore[:, EXPLORE.index(name)])


def _events(h: History, name: str) -> F64:
    return np.asarray(h.account[:, EVENTS.index(name)])


def _floor(h: History) -> float:
    """The smallest K p of an hour that had a choice."""
    return float(h.floor[h.floor > 0].min()) if (h.floor > 0).any() else float("nan")


def _effective(h: History) -> float:
    """exp(−Σ p log p) of the arms' shares of the decisions."""
    n = np.array([rows[:, 0].sum() for rows in h.sums["arm"].values()])
    p = n[n > 0] / max(float(n.sum()), 1.0)
    return float(np.exp(-(p * np.log(p)).sum())) if len(p) else float("nan")


def _every(h: History) -> F64:
    return h.sums["all"].get("", np.zeros((len(h), 4)))


_SHOWN: dict[str, Any] = {
    "decisions": lambda h: f"{h.n.sum():,.0f}",
    "arms on offer": lambda h: f"{sum(x[:, 0].any() for x in h.offered.values()):,}",
    "arms shown": lambda h: f"{sum(x[:, 0].any() for x in h.sums['arm'].values()):,}",
    "reward per decision": lambda h: _text(_share(_every(h)[:, 1], h.n), ".4f"),
    **{
        f"{name} of the reward": lambda h, name=name: _text(dict(of_rewards(h)).get(name, np.nan), ".4g")
        for name in ("variance", *QUANTILES)
    },
    "decisions with a reward": lambda h: _text(_share(_every(h)[:, 3], h.n), ".2%"),
    "seconds to the reward (geometric mean)": lambda h: _text(
        float(np.exp(_share(h.delay[:, 0] * h.delay[:, 1], h.delay[:, 0]))), ",.1f"
    ),
    "normalised selection entropy": lambda h: _text(_share(_of(h, "entropy"), _of(h, "n")), ".3f"),
    "effective arms (exponential of the entropy of what was shown)": lambda h: _text(_effective(h), ".1f"),
    "smallest propensity, times the arms on offer": lambda h: _text(_floor(h), ".3f"),
    "late rewards": lambda h: _text(_share(_events(h, "late"), _events(h, "rewards_in")), ".2%"),
    "orphan rewards": lambda h: _text(_share(_events(h, "orphan"), _events(h, "rewards_in")), ".2%"),
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
