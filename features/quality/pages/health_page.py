"""The page of a log's health over time: rewards, exploration, arms, the propensity audit and drift, as charts."""

from dataclasses import asdict
from math import log
from pathlib import Path

import orjson

from croupier.features.quality import audit
from croupier.features.quality.drift import Health
from croupier.features.quality.pages import charts
from croupier.features.quality.pages.page import render
from croupier.features.quality.time_labels import time_labels
from croupier.features.store import layout


def write(found: Health, folder: Path) -> Path:
    """Writes the page (`index.html`), and the numbers beside it (`health.json`). Returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / layout.HEALTH_NUMBERS).write_bytes(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2))
    page = folder / layout.PAGE
    page.write_text(_page(found), encoding="utf-8")
    return page


def _page(h: Health) -> str:
    ticks = time_labels([b["at"] for b in h.bins])
    said = f"Share of values of each feature that moved, {_between(ticks)}"
    drift = charts.heat(h.drift, ticks, high=0.5, label=said) if h.drift else ""
    boxes = _boxes(h, ticks)
    return render(__package__, "health_page.html.j2", title="Health of the log", h=h, boxes=boxes, drift=drift)


def _boxes(h: Health, ticks: list[str]) -> list[tuple[str, str, str]]:
    """Returns (title, what it says, chart) of each."""

    def line(title: str, says: str, name: str, limit: float | None = None) -> tuple[str, str, str]:
        values = [b[name] for b in h.bins]
        label = f"{title}, {_between(ticks)}: {charts.spoken(values)}"
        return title, says, charts.lines({title.lower(): values}, ticks, limit=limit, label=label)

    means, low, high = (
        {k: [v[0] + z * v[1] if v else None for v in values] for k, values in h.reward.items()}
        for z in (0.0, -1.96, 1.96)
    )
    bands = {k: (low[k], high[k]) for k in means}
    last = "; ".join(f"{name} {charts.spoken(values)}" for name, values in means.items())
    shares = ", ".join(f"{name} {values[-1]:.0%}" for name, values in h.arms.items())
    alarm = log(1 / audit.ALPHA)
    return [
        ("Reward per decision", "mean and 95 % interval, by policy",
         charts.lines(means, ticks, bands=bands, label=f"Reward per decision, {_between(ticks)}: {last}")),
        line("Decisions", "a step of time", "decisions"),
        line("Effective arms", "exp(entropy): 1 is greedy", "effective_arms"),
        line("Least propensity", "how rare the rarest shown arm was", "least_propensity"),
        ("Which arms are shown", "share of decisions",
         charts.stack(h.arms, ticks, label=f"Shares of the arms shown, {_between(ticks)}; last: {shares}")),
        line("Propensity audit", f"nats of evidence against the logged pmf; alarm at {alarm:.1f}", "log_e", alarm),
    ]  # fmt: skip


def _between(ticks: list[str]) -> str:
    return f"{ticks[0]} to {ticks[-1]} UTC"
