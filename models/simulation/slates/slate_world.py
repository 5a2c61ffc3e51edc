"""A world of slates whose truth is known: users go down a slate, click what attracts them, and leave (cascade model).

Craswell, Zoeter, Taylor & Ramsey 2008: at each slot the user clicks with the attraction of its arm, and then leaves;
who does not click goes on with the world's patience. So a slate earns at most one click, a slot earns less where the
arms above attract, and values of slate policies are sums over all slates."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from croupier.features.batch import F64, I64
from croupier.models.slates.enumerated import Enumerated
from croupier.models.slates.enumeration import every_slate
from croupier.models.slates.policies import Mixed, PlackettLuce
from croupier.models.slates.policy import SlatePolicy

CONTEXTS, ARMS, SLOTS = 6, 8, 3
PATIENCE = 0.9


@dataclass(frozen=True, kw_only=True, eq=False)
class CascadeWorld:
    """attraction (C, K): probability of a click on an arm that is looked at, by kind of user; noise (C, K): what the
    champion's scores have in the place of some of it."""

    attraction: F64
    noise: F64

    @classmethod
    def of(cls, seed: int) -> Self:
        """Draws a world: attractions of about 2 to 40 %."""
        rng = np.random.default_rng([seed, 19])
        attraction = 1.0 / (1.0 + np.exp(1.8 - rng.normal(size=(CONTEXTS, ARMS))))
        return cls(attraction=attraction, noise=rng.normal(size=(CONTEXTS, ARMS)))

    @cached_property
    def clicks(self) -> F64:
        """(C, N, k): the probability of a click in each slot of each slate."""
        liked = self.attraction[:, every_slate(ARMS, SLOTS)]
        seen = np.cumprod(PATIENCE * (1.0 - liked[:, :, :-1]), axis=2)
        return np.asarray(liked * np.concatenate([np.ones((*liked.shape[:2], 1)), seen], axis=2))

    def value(self, policy: Enumerated) -> float:
        """Clicks per slate, exactly; all kinds of users come equally often."""
        return float((policy.joint * self.clicks.sum(axis=2)).sum(axis=1).mean())

    def policy(self, known: float, *, sign: float = 1.0) -> PlackettLuce:
        """Plackett–Luce of scores that are this much truth, the rest noise; sign −1: the worst first."""
        taste = np.log(self.attraction) - np.log(self.attraction).mean(axis=1, keepdims=True)
        scores = sign * (known * taste + (1.0 - known) * self.noise)
        return PlackettLuce.of_scores(scores, np.ones(scores.shape, bool))

    def worth(self, value: float, *, beside: SlatePolicy | None = None) -> Enumerated:
        """A policy of exactly this value: a mixture of one that knows the users and one that shows the worst first;
        half of it, and half of `beside`, where that is given. Raises ValueError where none has it."""
        best, worst = self.policy(1.0), self.policy(1.0, sign=-1.0)
        high, low = (self.value(Enumerated(policy=p, k=SLOTS)) for p in (best, worst))
        share = (value - low) / (high - low)
        if not 0 <= share <= 1:
            raise ValueError(f"value: found {value:.4f} clicks a slate, expected {low:.4f} to {high:.4f} in this world")
        parts: tuple[SlatePolicy, ...] = (best, worst)
        shares = [share, 1.0 - share]
        if beside is not None:
            parts, shares = (*parts, beside), [share / 2, (1.0 - share) / 2, 0.5]
        return Enumerated(policy=Mixed(policies=parts, shares=shares), k=SLOTS)

    def draw(self, log: SlatePolicy | Enumerated, n: int, rng: np.random.Generator) -> tuple[I64, I64, F64]:
        """Returns n logged slates: contexts (n,), numbers of slates (n,), clicks (n, k)."""
        table = log if isinstance(log, Enumerated) else Enumerated(policy=log, k=SLOTS)
        group = rng.integers(0, CONTEXTS, n)
        slate = table.draw(group, rng)
        ends = np.cumsum(self.clicks[group, slate], axis=1)  # at most one click: in slot l, or in none
        slot = (rng.random(n)[:, None] >= ends).sum(axis=1)
        return group, slate, (slot[:, None] == np.arange(SLOTS)).astype(np.float64)
