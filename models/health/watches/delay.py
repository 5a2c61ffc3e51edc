"""How long rewards take, how many come too late, and how many belong to no decision."""

from functools import partial

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.history import EVENTS
from croupier.models.health.residuals import of_level
from croupier.models.health.season import View
from croupier.models.health.symptom import Signal, Told

SLOWER = 1.5  # ratio of delays from which it is acted on
SHARE = 0.02  # of rewards that come too late, or belong to no decision, beyond what is usual


def signals(view: View) -> list[Signal]:
    """Returns the signals of the delay, and of late and orphan shares."""
    log, n = view.history.delay[:, 1], view.history.delay[:, 0]
    out = []
    if (n > 0).sum() >= view.P:
        z, c, due = of_level(view, np.where(n >= 3, log, np.nan), n, least=0.05)
        out.append(Signal(watch="delay", about="rewards", z=z, c=c, tell=partial(_slower, view, due)))
    rewards = view.history.account[:, EVENTS.index("rewards_in")]
    for event in ("late", "orphan"):
        share = _share(view.history.account, event)
        if np.isfinite(share).sum() >= view.P:
            z, c, due = of_level(view, share, rewards, least=0.005)
            tell = partial(_aside, view, event, float(np.nanmean(due)))
            out.append(Signal(watch="delay", about=f"{event} rewards", z=z, c=c, tell=tell))
    return out


def _share(account: F64, event: str) -> F64:
    rewards = account[:, EVENTS.index("rewards_in")]
    return np.where(rewards >= 3, account[:, EVENTS.index(event)] / np.maximum(rewards, 1.0), np.nan)


def _slower(view: View, due: F64, since: int) -> Told:
    n, log = view.recent(view.history.delay)[since:, 0], view.recent(view.history.delay)[since:, 1]
    weight = n / max(float(n.sum()), 1.0)
    now, before = float((weight * log).sum()), float((weight * due[since:]).sum())
    ratio = float(np.exp(now - before))
    usual = f"{np.exp(now):,.0f} s instead of {np.exp(before):,.0f} s"
    says = f"rewards take {ratio:.1f} times as long as usual ({usual})"
    remedy = "look at the queue between the app and `reward`; raise [reward] window_seconds before they come too late"
    return Told(cause="reward_delay", number=ratio, threshold=SLOWER, says=says, remedy=remedy, serious=ratio > SLOWER)


def _aside(view: View, event: str, usual: float, since: int) -> Told:
    found = view.recent(view.history.account)[since:]
    share = float(found[:, EVENTS.index(event)].sum() / max(found[:, EVENTS.index("rewards_in")].sum(), 1.0))
    what = "come after their window" if event == "late" else "belong to no decision that is known"
    remedy = (
        "raise [reward] window_seconds, or send rewards sooner"
        if event == "late"
        else "look whether the app sends back the event_id that select() answered, and whether every host ships its log"
    )
    return Told(
        cause=f"{event}_rewards",
        number=share,
        threshold=usual + SHARE,
        remedy=remedy,
        says=f"{share:.1%} of the rewards {what} (usually {usual:.1%})",
        serious=share > usual + SHARE,
    )
