"""The rollout as one page: share over time, the confidence sequence, units, guardrails, every step with its reason.

One HTML file without outside requests, rewritten at each look that changed something (reports/rollout/<release>.html).
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from croupier.features.batch import F64
from croupier.features.clock import now_us
from croupier.features.quality.pages import page
from croupier.features.quality.time_labels import since_start
from croupier.features.schema import ABORTED, CANDIDATE, CHAMPION
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.features.utc import to_the_second
from croupier.features.workspace import Workspace
from croupier.serving.evidence import comparison, dr_rewards, foretold, gather, hold_out_looks
from croupier.serving.evidence.betting import Bets
from croupier.serving.evidence.comparison import Compared
from croupier.serving.operate import deployment
from croupier.serving.operate.deployment import scratch
from croupier.serving.release import hold_out, rollout_store
from croupier.serving.release.rollout_state import RolloutState

POINTS = 24
GREY, BLUE, HARM, GAIN = "#4c566a", "#2a78b5", "#b5342a", "#2e7d4f"


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
    target.write_text(render(state, rows, bets, spec, found, now=now, past=foretold.sentence(foretold.past(store))))
    return target


def keep(app: str) -> str:
    """Keeps the present rollout's page in the store, where the Airflow UI's `Report` button finds it. Returns its key
    below `reports/`, "" before there is a rollout. Drawn once a step of the rollout: a look that changed nothing costs
    nothing."""
    w = Workspace.open(app)
    state = rollout_store.read_state(w.store)
    if state is None:
        return ""
    key = layout.rollout_report(state.release, len(state.history))
    if not w.store.list(layout.report(key)):
        w.store.put(layout.report(key), write(w.store, w.home, w.spec, now=now_us()).read_bytes())
    return key


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
    state: RolloutState,
    rows: Compared | None,
    bets: Bets | None,
    spec: AppSpec,
    found: Mapping[str, Any],
    *,
    now: int,
    past: str = "",
) -> str:
    return page.render(
        __package__,
        "rollout_page.html.j2",
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
        past=past,
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
    if spec.rollout.season_seconds:
        axes.set_title("as if hours were alike; stages are decided on whole seasons", fontsize=8)
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
