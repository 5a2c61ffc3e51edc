"""One unit's share of the decisions: a bot, a test script, or an id that all share."""

from functools import partial

import numpy as np

from croupier.models.health.residuals import of_level
from croupier.models.health.season import View
from croupier.models.health.symptom import Signal, Told

LARGE = 0.05  # share of decisions of one unit below which it is only watched


def signals(view: View) -> list[Signal]:
    """Returns the signal of the most active unit's share of an hour."""
    n = view.history.n
    share = np.where(n > 0, view.history.unit[:, 0] / np.maximum(n, 1.0), np.nan)
    z, c, due = of_level(view, np.log(np.maximum(share, 1e-9)), n, least=0.1)
    usual = float(np.exp(due).mean())
    return [Signal(watch="unit", about="most active unit", z=z, c=c, tell=partial(_tell, view, usual))]


def _tell(view: View, usual: float, since: int) -> Told:
    n, top = view.recent(view.history.n)[since:], view.recent(view.history.unit)[since:, 0]
    share = float(top.sum() / max(n.sum(), 1.0))
    says = f"one unit makes {share:.0%} of the decisions (usually {usual:.1%}): a bot, or an id that many share"
    remedy = "find it in the app's own log and block it, or give its visitors ids; `croupier forget` takes its rows out"
    return Told(cause="bot_traffic", number=share, threshold=LARGE, says=says, remedy=remedy, serious=share > LARGE)
