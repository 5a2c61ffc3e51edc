"""The rollout as one page: share over time, the confidence sequence, units, guardrails, every step with its reason.

One HTML file without outside requests, rewritten at each look that changed something (reports/rollout/<release>.html).
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from croupier.features.batch import F64
from croupier.features.quality.time_labels import since_start
from croupier.features.schema import ABORTED, CANDIDATE, CHAMPION
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.features.utc import to_the_second
from croupier.serving.evidence import comparison, dr_rewards, gather, hold_out_looks
from croupier.serving.evidence.betting import Bets
from croupier.serving.evidence.comparison import Compared
from croupier.serving.operate import deployment
from croupier.serving.operate.deployment import scratch
from croupier.serving.release import hold_out, rollout_store
from croupier.serving.release.rollout_state import RolloutState

POINTS = 24
GREY, BLUE, HARM, GAIN = "#4c566a", "#2a78b5", "#b5342a", "#2e7d4f"

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Rollout of release {{ s.release }}</title>
<style>body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{margin-bottom:.2rem}table{border-collapse:collapse;margin:.6rem 0 1.6rem}td,th{padding:.25rem .8rem .25rem 0;
text-align:left;vertical-align:top;border-bottom:1px solid #ddd}td.n{text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}
.held{background:#fff3cd;padding:.5rem .8rem}.aborted{background:#f8d7da;padding:.5rem .8rem}
.wide{overflow-x:auto}.picture svg{width:100%;max-width:44rem;height:auto}td.t{min-width:13rem}
h1,h2,p{overflow-wrap:anywhere}
</style><h1>Release {{ s.release }}: {{ s.stage }}</h1>
{% if s.kept %}<p>The candidate of the table is the promoted release; beside it {{ s.kept }}, kept for
{{ "%.4g" % (100 * s.stages[0]) }} % of units{% if s.watched %}, until {{ time(until) }} UTC{% endif %}.
{{ known_of(found) if found.difference is defined else summary }}.</p>
{% else %}<p>{{ "%.0f" % (100 * s.share) }} % of units see the candidate, since {{ time(s.since) }} UTC. {{ summary }}.
</p>{% endif %}{% if s.held %}<p class="held">Held: {{ s.held }}</p>{% endif %}
{% if s.stage == "aborted" %}<p class="aborted">Aborted: {{ s.history[-1].reason }}</p>{% endif %}
<div class="picture">{{ picture | safe }}</div>
<h2>Every step</h2><div class="wide"><table><tr><th>at (UTC)<th>stage<th>share<th>by<th>why<th>what was known</tr>
{% for e in s.history %}<tr><td>{{ time(e.at) }}<td>{{ e.stage }}<td class="n">{{ "%.0f" % (100 * e.share) }} %
<td>{{ e.by }}<td class="t">{{ e.reason }}<td class="t">{{ known(e.evidence) }}</tr>{% endfor %}</table></div>
<h2>Units</h2><div class="wide"><table><tr><th>stage<th>candidate<th>champion<th>share seen<th>share meant</tr>
{% for stage, (n1, n0, share) in units.items() %}<tr><td>{{ stage }}<td class="n">{{ n1 }}<td class="n">{{ n0 }}
<td class="n">{{ "%.2f" % (100 * n1 / (n1 + n0)) }} %<td class="n">{{ "%.0f" % (100 * share) }} %</tr>
{% else %}<tr><td colspan="5">none yet</tr>{% endfor %}</table></div>
<h2>Guardrails</h2><div class="wide"><table><tr><th>what<th>candidate<th>champion<th>evidence of harm<th>needed
<th>shown</tr>
{% for name, g in guardrails.items() %}<tr><td class="t">{{ name }}{% if g.says %}: {{ g.says }}
{% endif %}<td class="n">{{ "%.4f" % g.candidate|abs }}
<td class="n">{{ "%.4f" % g.champion|abs }}<td class="n">{{ "%.2f" % g.log_wealth_harm }}
<td class="n">{{ "%.2f" % g.level }}<td>{{ "yes" if g.harm else "no" }}</tr>
{% else %}<tr><td colspan="6">no matured decisions yet</tr>{% endfor %}</table></div>
<p>Fallback and latency: the share of decisions that fell back, or took longer than the limit. Evidence is the logarithm
of a bet's wealth: e raised to it is how much one would have won by betting on harm. The intervals hold at every look at
once (serving/ROLLOUT.md).</p></html>"""


def write(store: Store, home: Path, spec: AppSpec, *, now: int, release: int | None = None) -> Path:
    """The page of the present rollout, or of an earlier release's. Raises KeyError when there was none."""
    state = rollout_store.read_state(store) if release is None else past(store, release)
    if state is None:
        raise KeyError("no rollout yet: publish a release first")
    with scratch(home) as folder:
        loaded = deployment.fetched(store, home, state.release, folder)
        rows = gather.rows_of(gather.decisions_of(store, spec, state, now=now), state, loaded)
        found = gather.gather(store, spec, state, loaded, now=now).numbers
        before = dr_rewards.earlier(store, state, loaded)
    bets = dr_rewards.reward_bets(rows, spec.reward, before) if rows is not None else None
    target = home / layout.report(layout.rollout_page(state.release))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render(state, rows, bets, spec, found, now=now))
    return target


def past(store: Store, release: int) -> RolloutState:
    """The present state if it is that release's, else the one it ended with. Raises KeyError when it had none."""
    state = rollout_store.read_state(store)
    if state is not None and state.release == release:
        return state
    try:
        return RolloutState.from_json(store.get(layout.rollout_history(release)))
    except KeyError:
        raise KeyError(f"no rollout of a release {release}; `croupier release list` shows those there are") from None


def render(
    state: RolloutState, rows: Compared | None, bets: Bets | None, spec: AppSpec, found: Mapping[str, Any], *, now: int
) -> str:
    environment = jinja2.Environment(autoescape=True)
    return environment.from_string(PAGE).render(
        s=state,
        time=to_the_second,
        known=gather.summary,
        summary=gather.summary(found),
        found=found,
        known_of=hold_out_looks.found,
        until=hold_out.until(state, spec.rollout),
        units={} if rows is None else comparison.unit_counts(rows),
        guardrails=found.get("guardrails", {}),
        picture=_picture(state, rows, bets, spec, now),
    )


def _picture(state: RolloutState, rows: Compared | None, bets: Bets | None, spec: AppSpec, now: int) -> str:
    known = bets is not None and rows is not None
    figure = Figure(figsize=(6.5, 8 if known else 2.6), layout="constrained")
    FigureCanvasSVG(figure)
    shares, *others = figure.subplots(3 if known else 1, 1, squeeze=False)[:, 0]
    _shares(shares, state, now)
    if bets is not None and rows is not None:
        difference, rewards = others
        ends = np.unique(np.linspace(min(200, len(rows)), len(rows), POINTS).astype(int))
        _sequence(difference, bets, spec, ends)
        _rewards(rewards, rows, ends)
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()[out.getvalue().index("<svg") :]


def _shares(axes: Any, state: RolloutState, now: int) -> None:
    began = state.history[0]["at"]
    unit, size = since_start(now - began)
    times = [(e["at"] - began) / size for e in state.history] + [(now - began) / size]
    shares = [100 * e["share"] for e in state.history]
    axes.step(times, [*shares, shares[-1]], where="post", color=BLUE)
    late = times[0] + 0.75 * (times[-1] - times[0])
    for time, entry in zip(times, state.history, strict=False):
        held = entry["reason"].startswith("held")
        colour = HARM if entry["stage"] == ABORTED or held else BLUE
        at = (time, 100 * entry["share"])
        axes.plot(*at, "o", color=colour)
        side = {"xytext": (-4, 5), "ha": "right"} if time > late else {"xytext": (4, 5)}
        axes.annotate("held" if held else entry["stage"], at, textcoords="offset points", fontsize=8, **side)
    axes.margins(x=0.09)  # room for the first and the last label
    axes.set(ylabel="units with the candidate, %", xlabel=f"{unit} since publication", ylim=(-4, 112))


def _sequence(axes: Any, bets: Bets, spec: AppSpec, ends: Any) -> None:
    parts = [bets.head(int(n)) for n in ends]
    low = np.array([part.lower(spec.rollout.alpha) for part in parts])
    high = np.array([part.upper(spec.rollout.alpha_harm) for part in parts])
    middle = [part.xi.sum() / part.v.sum() for part in parts]
    axes.fill_between(ends, low, high, color=BLUE, alpha=0.12)
    axes.plot(ends, high, color=HARM, linewidth=1, label=f"at most; below 0 is harm ({spec.rollout.alpha_harm:.1%})")
    axes.plot(ends, low, color=GAIN, linewidth=1, label=f"at least; above 0 is better ({spec.rollout.alpha:.1%})")
    axes.plot(ends, middle, color=BLUE, label="estimate (doubly robust)")
    axes.axhline(0, color=GREY, linewidth=1)
    reach = 4 * max(np.abs(middle[-1]), np.abs(bets.baseline).mean() / 4)
    axes.set(ylabel="reward per decision,\ncandidate − champion", xlabel="matured decisions", ylim=(-reach, reach))
    axes.legend(loc="best", fontsize=8)


def _rewards(axes: Any, rows: Compared, ends: Any) -> None:
    for name, who, colour in ((CANDIDATE, rows.assigned, BLUE), (CHAMPION, ~rows.assigned, GREY)):
        axes.plot(ends, _running(rows.log.reward, who)[ends - 1], color=colour, label=name)
    axes.set(ylabel="mean reward so far", xlabel="matured decisions")
    axes.legend(loc="best", fontsize=8)


def _running(reward: F64, who: Any) -> F64:
    return np.asarray(np.cumsum(reward * who) / np.maximum(np.cumsum(who), 1))
