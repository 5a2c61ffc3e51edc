"""Two ways of being sure: one posterior shared by all arms, or one of its own for every arm.

Both learn from rows (φ, arm, reward) and turn a batch's φ into a pmf: by Thompson sampling, or by the upper confidence
bound φᵀm + α·√(φᵀ(A + λI)⁻¹φ) of LinUCB (Li et al. 2010, alg. 1). A shared posterior correlates the arms: its pmf is
the vote of S joint draws. Posteriors of their own are independent: their pmf is exact by quadrature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np

from croupier.features.batch import F64, I64, Batch
from croupier.models import exploration
from croupier.models.bayesian import thompson
from croupier.models.bayesian.arrays import Array, beside, double, host, on, product
from croupier.models.bayesian.posterior import Phi, Posterior, Prior
from croupier.models.persistence import Arrays

Arms = tuple[I64, Sequence[str]]  # of rows: which entry (n,) of a list of arm ids


class Head(Protocol):
    """What Bayesian policies keep; frozen, `update` returns a new one. In `thompson` and `ucb`, φ (n, d) is that of the
    batch's candidates in the order of its mask."""

    @property
    def step(self) -> int:
        """Rewards learnt from, ever: names the posterior in the log, and seeds its draws."""
        ...

    def update(self, phi: Phi, arms: Arms, reward: F64, weight: F64 | None = None, *, keep: float = 1.0) -> Self:
        """Learn rows φ (n, d); `keep` < 1 first discounts all that was known."""
        ...

    def thompson(self, batch: Batch, phi: Array, *, seed: int, draws: int, device: str) -> F64:
        """Returns the pmf of Thompson sampling, (B, K)."""

    def ucb(self, batch: Batch, phi: Array, *, alpha: float, device: str) -> F64:
        """Returns all mass on the highest upper confidence bound, (B, K)."""

    def bounds(self, batch: Batch, phi: Array, *, alpha: float, device: str) -> F64:
        """Returns each candidate's upper confidence bound, (B, K)."""

    def arrays(self) -> Arrays:
        """Returns what `restore` needs, as arrays by name."""

    def arm_ids(self) -> list[str]:
        """Returns the arms with a posterior of their own, in the order of `arrays`."""


@dataclass(frozen=True, eq=False)
class SharedHead:
    """One posterior over φ(request, arm)."""

    posterior: Posterior
    _drawn: dict[tuple[int, int, str], Array] = field(default_factory=dict, init=False)  # a cache

    @property
    def step(self) -> int:
        """The number of rewards the posterior has learnt from."""
        return self.posterior.step

    def update(
        self,
        phi: Phi,
        arms: Arms,  # noqa: ARG002
        reward: F64,
        weight: F64 | None = None,
        *,
        keep: float = 1.0,
    ) -> Self:
        """Returns the head after these rows; whose arm each was does not matter."""
        return type(self)(self.posterior.update(phi, reward, weight, keep=keep))

    def drawn(self, *, seed: int, draws: int, device: str) -> Array:
        """Returns (d, S) draws of the weights: those of this posterior, made once."""
        key = (seed, draws, device)
        if key not in self._drawn:
            self._drawn[key] = thompson.draws(self.posterior, seed=seed, count=draws, device=device)
        return self._drawn[key]

    def thompson(self, batch: Batch, phi: Array, *, seed: int, draws: int, device: str) -> F64:
        """Returns each candidate's share of the joint draws that it wins, (B, K)."""
        return thompson.pmf(batch, phi, self.drawn(seed=seed, draws=draws, device=device))

    def ucb(self, batch: Batch, phi: Array, *, alpha: float, device: str) -> F64:
        """Returns all mass on the highest φᵀm + α·√(φᵀ(A + λI)⁻¹φ), (B, K)."""
        return exploration.greedy(batch.priced(self.bounds(batch, phi, alpha=alpha, device=device)), batch.mask)

    def bounds(self, batch: Batch, phi: Array, *, alpha: float, device: str) -> F64:
        """Returns φᵀm + α·√(φᵀ(A + λI)⁻¹φ) of every candidate, (B, K)."""
        mean, width = _moments(self.posterior, phi, device)
        found = np.zeros(batch.mask.shape)
        found[batch.mask] = mean + alpha * width
        return found

    def arrays(self) -> Arrays:
        """Returns the posterior's arrays."""
        return dict(self.posterior.arrays())

    def arm_ids(self) -> list[str]:
        """Returns no arm: none has a posterior of its own."""
        return []

    @classmethod
    def restore(cls, prior: Prior, arrays: Arrays, step: int) -> Self:
        """Restores the head from its arrays."""
        return cls(Posterior.restore(prior, arrays, step))


@dataclass(frozen=True, eq=False, kw_only=True)
class ArmHeads:
    """A posterior of its own for every arm seen; an arm never seen has the prior."""

    prior: Prior
    d: int
    arms: Mapping[str, Posterior]
    step: int = 0

    def of(self, arm: str) -> Posterior:
        """Returns the arm's posterior; the prior for an arm never seen."""
        return self.arms.get(arm) or Posterior.empty(self.d, self.prior)

    def update(self, phi: Phi, arms: Arms, reward: F64, weight: F64 | None = None, *, keep: float = 1.0) -> Self:
        """Returns the heads after these rows, each arm's from its own."""
        rows, ids = arms
        known = dict(self.arms)
        for arm in known if keep < 1 else ():
            known[arm] = replace(known[arm], moments=known[arm].moments * keep)
        small = rows.astype(np.uint16) if len(ids) < 1 << 16 else rows  # 16 bits: numpy then sorts by radix
        order = np.argsort(small, kind="stable")
        if weight is not None and (weight == 1).all():
            weight = None
        phi, reward, rows = phi.take(order, axis=0), reward.take(order), rows.take(order)
        edges = [0, *(np.flatnonzero(np.diff(rows)) + 1), len(rows)] if len(rows) else []
        for mine in map(slice, edges, edges[1:]):
            arm = ids[rows[mine.start]]
            weights = None if weight is None else weight[order[mine]]
            known[arm] = known.get(arm, self.of(arm)).update(phi[mine], reward[mine], weights)
        return replace(self, arms=known, step=self.step + len(reward))

    def _known(self, batch: Batch) -> tuple[list[str], I64]:
        """The arms with a posterior of their own among the candidates, "" for all others together, and which of these
        each candidate (n,) is."""
        rows, item = np.unique(batch.arm[batch.mask], return_inverse=True)
        which: dict[str, int] = {}
        ids = (batch.catalogue.ids[row] for row in rows)
        group = [which.setdefault(arm if arm in self.arms else "", len(which)) for arm in ids]
        return list(which), np.array(group, np.int64)[item]

    def _each(self, batch: Batch, phi: Array, device: str) -> tuple[F64, F64, F64]:
        """Mean, √(φᵀ(A + λI)⁻¹φ) and noise sd of every candidate, (B, K) each."""
        mean, width, noise = (np.zeros(batch.mask.shape) for _ in range(3))
        which, place = self._known(batch)
        flat = [np.zeros(len(place)) for _ in range(3)]
        for i, arm in enumerate(which):
            head, mine = self.of(arm), place == i
            flat[0][mine], flat[1][mine] = _moments(head, phi[beside(mine, phi)], device)
            a, b = head.noise
            flat[2][mine] = np.sqrt(b / max(a - 1, 0.5))
        for whole, part in zip((mean, width, noise), flat, strict=True):
            whole[batch.mask] = part
        return mean, width, noise

    def thompson(self, batch: Batch, phi: Array, *, seed: int, draws: int, device: str) -> F64:  # noqa: ARG002
        """Exact for independent N(φᵀm, E[σ²]·φᵀ(A + λI)⁻¹φ): no draws, no votes."""
        mean, sd = self.normals(batch, phi, device=device)
        return exploration.best_of_normals(np.asarray(batch.priced(mean), np.float64), sd, batch.mask)

    def normals(self, batch: Batch, phi: Array, *, device: str) -> tuple[F64, F64]:
        """Mean and standard deviation of what each candidate is worth, (B, K) each."""
        mean, width, noise = self._each(batch, phi, device)
        return mean, width * noise

    def ucb(self, batch: Batch, phi: Array, *, alpha: float, device: str) -> F64:
        """Returns all mass on the highest upper confidence bound, each arm by its own posterior, (B, K)."""
        return exploration.greedy(batch.priced(self.bounds(batch, phi, alpha=alpha, device=device)), batch.mask)

    def bounds(self, batch: Batch, phi: Array, *, alpha: float, device: str) -> F64:
        """Returns the upper confidence bound of every candidate, by its own posterior, (B, K)."""
        mean, width, _ = self._each(batch, phi, device)
        return mean + alpha * width

    def arm_ids(self) -> list[str]:
        """Returns the arms seen, sorted."""
        return sorted(self.arms)

    def arrays(self) -> Arrays:
        """Returns the posteriors' arrays, stacked in the order of `arm_ids`."""
        kept = [self.arms[arm] for arm in self.arm_ids()]
        if not kept:
            return {}
        stacked = {key: np.stack([p.arrays()[key] for p in kept]) for key in kept[0].arrays()}
        return stacked | {"head.steps": np.array([p.step for p in kept])}

    @classmethod
    def restore(cls, prior: Prior, d: int, arrays: Arrays, arms: Sequence[str], step: int) -> Self:
        """Restores the heads from stacked arrays."""
        each = {
            arm: Posterior.restore(
                prior, {k: arrays[k][i] for k in ("head.A", "head.b", "head.rr_n")}, int(arrays["head.steps"][i])
            )
            for i, arm in enumerate(arms)
        }
        return cls(prior=prior, d=d, arms=each, step=step)


def _moments(head: Posterior, phi: Array, device: str) -> tuple[F64, F64]:
    """φᵀm and √(φᵀ(A + λI)⁻¹φ), (n,) each."""
    out = host(product(double(phi), on(head.directions, device)))
    return out[:, 0], np.sqrt(np.einsum("nd,nd->n", out[:, 1:], out[:, 1:]))
