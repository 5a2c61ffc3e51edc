"""The clock of each host: its decisions against the times in their event ids, and against when their rewards came."""

from functools import partial

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.residuals import of_level
from croupier.models.health.season import View
from croupier.models.health.symptom import Signal, Told

SECONDS = 2.0  # that a clock may differ by without being acted on
REWARDED, DELAY, LAG = 1, 2, 3  # columns of a host


def signals(view: View) -> list[Signal]:
    """Returns signals for a clock that is ahead and for one that is behind, of each host that the baseline knows."""
    out = []
    for host, rows in view.history.hosts.items():
        offset = _offset(view, host, rows)
        if np.isfinite(view.base(offset)).sum() >= view.P // 2:
            z, c, due = of_level(view, offset, rows[:, REWARDED], least=0.2)
            for sign in (1, -1):
                tell = partial(_tell, view, host or "the host", offset, due)
                out.append(Signal(watch="clock", about=f"host {host}".strip(), z=sign * z, c=c, tell=tell))
    return out


def _offset(view: View, host: str, rows: F64) -> F64:
    """Returns (T,) seconds by which the host's clock is ahead: by event ids where clients make them; else by how much
    sooner its rewards come than those of the others."""
    lag = rows[:, LAG]
    if np.nanmax(np.abs(np.nan_to_num(lag))) > 0:
        return lag
    others = [r[:, DELAY] for h, r in view.history.hosts.items() if h != host]
    if not others:
        return np.full(len(rows), np.nan)
    stacked = np.stack(others)
    known = np.isfinite(stacked)
    total, n = np.where(known, stacked, 0).sum(axis=0), known.sum(axis=0)
    return np.asarray(np.where(n > 0, total / np.maximum(n, 1), np.nan) - rows[:, DELAY])


def _tell(view: View, host: str, offset: F64, due: F64, since: int) -> Told:
    now = float(np.nanmedian(view.recent(offset)[since:]) if np.isfinite(view.recent(offset)[since:]).any() else 0.0)
    by = now - float(due[since:].mean())
    says = f"the clock of {host} is {abs(by):,.0f} s {'ahead' if by > 0 else 'behind'}"
    remedy = f"set the clock of {host} (chrony, ntpd): its decisions fall into wrong hours, their windows close wrongly"
    return Told(cause="clock_skew", number=by, threshold=SECONDS, says=says, remedy=remedy, serious=abs(by) > SECONDS)
