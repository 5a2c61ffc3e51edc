"""The reels app with something asked of every slate, and by hand what a slot may then show."""

from dataclasses import dataclass, replace

import numpy as np

from croupier.features.batch import Batch
from croupier.features.store import layout
from croupier.models.ope.rounds import as_served
from croupier.models.policy import Policy
from tests.serving import apps
from tests.serving.embedded.shop import opened

MINIMUMS = {"news": 1, "music": 1}
DECLARED = "".join(
    f'\n[[slates.minimums]]\nfeature = "genre"\nvalue = "{value}"\nleast = {least}\n'
    for value, least in MINIMUMS.items()
)
DIVERSITY = 0.3
UNLIKE = f"\n[slates]\ndiversity = {DIVERSITY}\n"
GENRE = {arm.arm_id: arm.features["genre"] for arm in apps.sample().arms}
K = 3


def declared(var, text=DECLARED, **where):
    """The app "shop" below `var`, which asks this of slates; nothing is released yet."""
    w = opened(var, **where)
    path = w.home / layout.APP_TOML
    path.write_text(path.read_text() + text)
    return w


def may_show(left, above, k=K, genre=GENRE, minimums=MINIMUMS):
    """By hand: the arms that the next slot may show."""
    missing = {value: least - sum(genre[arm] == value for arm in above) for value, least in minimums.items()}
    short = {value for value, n in missing.items() if n > 0}
    if sum(missing[value] for value in short) < k - len(above):
        return list(left)
    return [arm for arm in left if genre[arm] in short] if short else list(left)


def can_be_kept(arms, k=K):
    """True if a slate of k of these arms can keep all minimums."""
    return (
        all(sum(GENRE[arm] == value for arm in arms) >= least for value, least in MINIMUMS.items()) and len(arms) >= k
    )


def prices(arms, above, diversity=DIVERSITY):
    """By hand: what likeness takes off each arm's score. Of the features of arms genre alone is categorical, and
    rewards are of [0, 1]."""
    return [diversity * (GENRE[arm] in {GENRE[one] for one in above}) for arm in arms]


@dataclass(frozen=True)
class ByHand:
    """The law of slates of one request as app.toml asks for it, over a policy: for `enumeration.conditionals`.
    `batch` is the request's, `arms` its candidates."""

    policy: Policy
    batch: Batch
    arms: tuple[str, ...]
    floor: float
    diversity: float

    @property
    def mask(self):
        return self.batch.mask

    def rest(self, shown):
        (places,) = shown.tolist()
        above = [self.arms[place] for place in places]
        may = may_show([arm for arm in self.arms if arm not in above], above)
        mask = np.array([[arm in may for arm in self.arms]])
        price = np.array([prices(self.arms, above, self.diversity)]) * mask
        return as_served(self.policy, replace(self.batch, mask=mask, price=price), self.floor)
