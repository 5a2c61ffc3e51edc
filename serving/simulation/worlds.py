"""The reels world as rollout traffic: contextual, with many arms, judged by doubly robust rewards.

The champion is uniform. The candidate prefers, or shuns, what users truly like, just so much that it is worth `effect`
more. The reward model is fitted once on an earlier log of the champion, as in serving/evidence/gather.py.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq

from croupier.features.batch import F64
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.spec import AppSpec
from croupier.features.worlds import reels
from croupier.models.ope.reward_model import RewardModel
from croupier.serving.simulation.rollout import LOOK, Look

POOL = 8000  # visits that decisions are drawn from
MODEL_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Pool:
    """N visits: true click probabilities and q̂ (N, K), 0 where masked; uniform pmf (N, K); h̄ of an earlier log."""

    truth: F64
    predicted: F64
    uniform: F64
    usual: float


@cache
def pool(seed: int = 0) -> Pool:
    """Makes the visits that runs draw from, with their true and predicted rewards."""
    world = reels.World(seed=seed)
    spec = AppSpec.model_validate(_toml(world))
    encoder = Encoder.fit(spec, world.interactions(2000), world.arms())
    catalogue = encoder.catalogue(world.arms())
    log = encode_interactions(world.interactions(MODEL_ROWS, seed=1), encoder, catalogue)
    model = RewardModel.fit(log)
    visits = world.users(POOL, np.random.default_rng([seed, 9]))
    batch = encoder.encode(
        [v.context for v in visits], [v.arms for v in visits], [v.arm_context for v in visits], catalogue
    )
    uniform = batch.mask / batch.mask.sum(axis=1, keepdims=True)
    usual = float((model.predict(log.batch) * log.pmf).sum(axis=1).mean())  # that log's own pmf is uniform
    return Pool(world.truth(visits), model.predict(batch), uniform, usual)


class Reels:
    """`World` of rollout.py."""

    def __init__(self, effect: float, *, seed: int = 0) -> None:
        self.pool = pool(seed)
        self.mean = float((self.pool.uniform * self.pool.truth).sum(axis=1).mean())
        self.pmf = _worth(self.pool, self.mean * (1 + effect))

    def look(self, share: F64, rng: np.random.Generator) -> Look:
        """Draws what one look sees, for each run's share."""
        shape = (len(share), LOOK)
        visit, candidate = rng.integers(POOL, size=shape), rng.random(shape) < share[:, None]
        pmf = np.where(candidate[..., None], self.pmf[visit], self.pool.uniform[visit])
        arm = (np.cumsum(pmf, axis=2) < rng.random(shape)[..., None] * (1 - 1e-12)).sum(axis=2)
        q = self.pool.predicted[visit]
        chosen = np.take_along_axis(q, arm[..., None], axis=2)[..., 0]
        click = rng.random(shape) < self.pool.truth[visit, arm]
        expected = (self.pool.uniform[visit] * q).sum(axis=2)
        score = (pmf * q).sum(axis=2) + click - chosen - (expected - self.pool.usual)
        return Look(candidate=candidate, score=score, count=np.ones(shape))


def _worth(found: Pool, value: float) -> F64:
    """pmf (N, K) ∝ exp(β · true click probability) on the candidates, with the β at which its mean value is `value`."""

    def tilted(beta: float) -> F64:
        best = found.truth.max(axis=1, keepdims=True) if beta > 0 else 0.0  # keeps the exponents below 0
        weight = np.where(found.uniform > 0, np.exp(beta * (found.truth - best)), 0.0)
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def gap(beta: float) -> float:
        return float((tilted(beta) * found.truth).sum(axis=1).mean()) - value

    worst, best = gap(-200.0), gap(50.0)
    if not worst <= 0 <= best:
        usual = float((found.uniform * found.truth).sum(axis=1).mean())
        low, high = ((value + end) / usual - 1 for end in (worst, best))
        raise ValueError(f"effect: found {value / usual - 1:g}, expected one between {low:.2f} and {high:.2f} here")
    return tilted(float(brentq(gap, -200.0, 50.0)))


def _toml(world: reels.World) -> dict[str, object]:
    import tomllib

    return tomllib.loads(world.app_toml())
