"""A world of one context, K = 5 arms and k = 3 slots, small enough to sum over all its slates."""

import numpy as np

from croupier.models.slates.enumerated import Enumerated, pseudo
from croupier.models.slates.estimators import SlateRounds
from croupier.models.slates.policies import PlackettLuce

K, SLOTS = 5, 3
rng = np.random.default_rng(7)
LOG, TARGET = (
    Enumerated(policy=PlackettLuce.of_scores(rng.normal(size=(1, K)), np.ones((1, K), bool)), k=SLOTS) for _ in range(2)
)
SLATES = LOG.slates
P, PI = LOG.joint[0], TARGET.joint[0]
ATTRACTION, EFFECT, GUESS = rng.random(K), rng.random((SLOTS, K)), rng.random((SLOTS, K))


def cascade(leaves=0.7):
    """(N, k): expected clicks of a user who goes down the slate, and after a click leaves with probability `leaves`."""
    seen, found = np.ones(len(SLATES)), np.empty(SLATES.shape)
    for slot in range(SLOTS):
        found[:, slot] = seen * ATTRACTION[SLATES[:, slot]]
        seen = seen - leaves * found[:, slot]
    return found


def additive():
    """(N, k): each slot earns what its own arm earns there."""
    return EFFECT[np.arange(SLOTS), SLATES]


def whole():
    """(N, k): rewards that depend on the whole slate, those below included."""
    return additive() + ((SLATES[:, -1:] == 2) & (SLATES[:, :1] == 0)) * 0.5


def every_slate_once(reward, *, guess=GUESS):
    """All slates as a log, whose weights p make each mean an exact expectation; Q̂ is a guess, and not a good one."""
    rest = TARGET.rest[:, 0].transpose(1, 0, 2)  # (N, k, K)
    return SlateRounds(
        reward=reward,
        logged=LOG.conditional[0],
        target=TARGET.conditional[0],
        logged_at=LOG.at[0],
        target_at=TARGET.at[0],
        predicted=guess[np.arange(SLOTS), SLATES],
        direct=(rest * guess).sum(axis=2),
        pseudo=pseudo(LOG, TARGET)[0],
        thinning=P * len(P),
    )


def expected(values):
    """Σ p(slate) value: what the estimate would be on average."""
    return float(P @ values)
