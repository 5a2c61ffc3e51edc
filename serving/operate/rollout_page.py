"""The rollout as one page: share over time, the confidence sequence, units, guardrails, every step with its reason.

One HTML file without outside requests, rewritten at each look that changed something (reports/rollout/<release>.html).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.clock import now_us
from croupier.features.quality.pages import charts, page
from croupier.features.quality.time_labels import since_start
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.features.workspace import Workspace
from croupier.serving.evidence import comparison, dr_rewards, foretold, gather, hold_out_looks
from croupier.serving.evidence.betting import Bets
from croupier.serving.evidence.comparison import Compared
from croupier.serving.operate import deployment
from croupier.serving.operate.deployment import scratch
from croupier.serving.release import hold_out, rollout_store
from croupier.serving.release.rollout_state import RolloutState

POINTS = 24
Box = tuple[str, str, str]  # title, what it says, chart


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
        title=f"Rollout of release {state.release}",
        s=state,
        known=gather.summary,
        summary=gather.summary(found),
        found=found,
        known_of=hold_out_looks.found,
        until=hold_out.until(state, spec.rollout),
        units={} if rows is None else comparison.unit_counts(rows),
        guardrails=found.get("guardrails", {}),
        boxes=_boxes(state, rows, bets, spec, now),
        past=past,
    )


def _boxes(state: RolloutState, rows: Compared | None, bets: Bets | None, spec: AppSpec, now: int) -> list[Box]:
    found = [_shares(state, now)]
    if bets is not None and rows is not None:
        ends = np.unique(np.linspace(min(200, len(rows)), len(rows), POINTS).astype(int))
        found += [_sequence(bets, spec, ends), _rewards(rows, ends)]
    return found


def _shares(state: RolloutState, now: int) -> Box:
    """The share of units over time, as steps; what stood at each of them is written beside it."""
    began = state.history[0]["at"]
    unit, size = since_start(now - began)
    times = [(e["at"] - began) / size for e in state.history] + [(now - began) / size]
    shares = [100 * e["share"] for e in state.history]
    xs, ys = [times[0]], [shares[0]]
    for k, time in enumerate(times[1:], 1):
        xs += [time, time]
        ys += [shares[k - 1], shares[min(k, len(shares) - 1)]]
    names = ["held" if e["reason"].startswith("held") else e["stage"] for e in state.history]
    return (
        "Units with the candidate",
        "in per cent",
        charts.paths(
            {"share": (xs, ys)},
            x=f"{unit} since publication",
            reach=(0.0, 100.0),
            marks=list(zip(times, shares, names, strict=False)),
            label=f"Share of units with the candidate: {' → '.join(names)}",
        ),
    )


def _sequence(bets: Bets, spec: AppSpec, ends: Any) -> Box:
    parts = [bets.head(int(n)) for n in ends]
    low = [float(part.lower(spec.rollout.alpha)) for part in parts]
    high = [float(part.upper(spec.rollout.alpha_harm)) for part in parts]
    middle = [float(part.xi.sum() / part.v.sum()) for part in parts]
    reach = 4 * max(abs(middle[-1]), float(np.abs(bets.baseline).mean()) / 4)
    season = " As if hours were alike; stages are decided on whole seasons." if spec.rollout.season_seconds else ""
    xs = [float(n) for n in ends]
    drawn = charts.paths(
        {"estimate (doubly robust)": (xs, middle)},
        bands={"estimate (doubly robust)": (low, high)},
        x="matured decisions; the dashed line is no difference",
        reach=(-reach, reach),
        label=f"Reward per decision, candidate less champion, after {int(ends[-1]):,} decisions: "
        f"{middle[-1]:.4g}, at least {low[-1]:.4g}, at most {high[-1]:.4g}",
    )
    ends_at = f"band: at least ({spec.rollout.alpha:.1%}), above 0 is better; at most ({spec.rollout.alpha_harm:.1%})"
    return "Reward per decision, candidate less champion", f"{ends_at}, below 0 is harm.{season}", drawn


def _rewards(rows: Compared, ends: Any) -> Box:
    xs = [float(n) for n in ends]
    means = {
        name: _running(rows.log.reward, who)[ends - 1].tolist()
        for name, who in ((CANDIDATE, rows.assigned), (CHAMPION, ~rows.assigned))
    }
    last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in means.items())
    drawn = charts.paths(
        {name: (xs, values) for name, values in means.items()},
        x="matured decisions",
        label=f"Mean reward so far: {last}",
    )
    return "Mean reward so far", "of each policy", drawn


def _running(reward: F64, who: Any) -> F64:
    return np.asarray(np.cumsum(reward * who) / np.maximum(np.cumsum(who), 1))
