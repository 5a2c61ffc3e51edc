"""Is less earned because the policy chooses worse arms, of the same offers, or because each arm earns less?

What the arms that were shown usually earn, beside what those on offer would have earned if chosen as before
(on_offer.py): the first is lower where the policy explores more, or where another release chooses worse.
"""

from dataclasses import dataclass

import numpy as np

from croupier.models.health.alike.streams import ByArms, by_arms
from croupier.models.health.residuals import Whole
from croupier.models.health.season import View

MOST = 0.5  # of the evidence for a fall, that the choices must explain


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The rewards of arms of known rates since a change: those `found`, those `due` by the arms on offer, and those
    that the arms which were `chosen` usually earn."""

    found: float
    due: float
    chosen: float

    @property
    def explain(self) -> bool:
        """True if the choices explain more than half of the evidence that less is earned."""
        if self.chosen >= self.due:
            return False
        return _nats(self.found, self.chosen) < (1 - MOST) * _nats(self.found, self.due)


def choices(view: View, what: str, limits: tuple[float, float], since: int) -> Choices | None:
    """Returns what the policy chose since the `since`-th recent hour; None where too few arms have known rates."""
    every = by_arms(view, what, limits)
    return None if every is None else _since(view, every, since)


def _since(view: View, every: ByArms, since: int) -> Choices:
    n, q = every.own[..., 0].sum(axis=1), every.exposure
    whole = Whole(view, np.stack([n * q.offer, every.own[..., 1].sum(axis=1)], axis=1)).means[: view.R]
    offer, shown = (float((view.recent(n * x) * whole)[since:].sum()) for x in (q.offer, q.shown))
    return Choices(found=float(view.recent(every.own)[since:, :, 1].sum()), due=offer, chosen=shown)


def _nats(found: float, due: float) -> float:
    """Returns the evidence of a fall, by the Poisson law; 0 of a rise."""
    if found >= due:
        return 0.0
    return float((found * np.log(found / due) if found > 0 else 0.0) - found + due)
