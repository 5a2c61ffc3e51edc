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
from croupier.features.utc import from_us


def write(found: Health, folder: Path) -> Path:
    """Writes the page (`index.html`), and the numbers beside it (`health.json`). Returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / layout.HEALTH_NUMBERS).write_bytes(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2))
    page = folder / layout.PAGE
    page.write_text(_page(found), encoding="utf-8")
    return page


def _page(h: Health) -> str:
    ticks = time_labels([b["at"] for b in h.bins])
    first, last = (f"{from_us(h.bins[i]['at']):%d %b %H:%M}" for i in (0, -1))
    drift = charts.heat(h.drift, ticks, high=0.5) if h.drift else ""
    return render(
        __package__,
        "health_page.html.j2",
        title="Health of the log",
        h=h,
        first=first,
        last=last,
        boxes=_boxes(h, ticks),
        drift=drift,
    )


def _boxes(h: Health, ticks: list[str]) -> list[tuple[str, str, str]]:
    """Returns (title, what it says, chart) of each."""

    def of(name: str) -> list[float | None]:
        return [b[name] for b in h.bins]

    means, low, high = (
        {k: [v[0] + z * v[1] if v else None for v in values] for k, values in h.reward.items()}
        for z in (0.0, -1.96, 1.96)
    )
    bands = {k: (low[k], high[k]) for k in means}
    alarm = log(1 / audit.ALPHA)
    return [
        ("Reward per decision", "mean and 95 % interval, by policy", charts.lines(means, ticks, bands=bands)),
        ("Decisions", "a step of time", charts.lines({"decisions": of("decisions")}, ticks)),
        ("Effective arms", "exp(entropy): 1 is greedy", charts.lines({"arms": of("effective_arms")}, ticks)),
        ("Least propensity", "how rare the rarest shown arm was", charts.lines({"p": of("least_propensity")}, ticks)),
        ("Which arms are shown", "share of decisions", charts.stack(h.arms, ticks)),
        ("Propensity audit", f"nats of evidence against the logged pmf; alarm at {alarm:.1f}",
         charts.lines({"evidence": of("log_e")}, ticks, limit=alarm)),
    ]  # fmt: skip
