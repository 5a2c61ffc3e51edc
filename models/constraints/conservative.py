"""Exploration that never costs much: the running value stays at least (1 − α) of the baseline's.

Conservative linear bandits (Kazerouni, Ghavamzadeh, Abbasi-Yadkori & Van Roy 2017, "Conservative contextual linear
bandits", CLUCB2: the baseline's value is not known either). Rewards are ⟨θ, φ⟩ plus noise. With A = ridge·I + Σ φφᵀ,
the ellipsoid of radius β_t around the ridge estimate θ̂ contains θ at all times with probability 1 − δ (Abbasi-Yadkori,
Pál & Szepesvári 2011, theorem 2):

    β_t = σ √(2 log(1/δ) + log det(A / ridge)) + √ridge · S

With v = Σ_i φ_{a_i} − (1 − α) Σ_i φ_{b_i} over all decisions so far (a drawn, b the baseline's), the promise is
⟨θ, v⟩ ≥ 0. An arm may be drawn if it would hold for every θ of the ellipsoid: ⟨θ̂, v'⟩ − β ‖v'‖ (in A⁻¹) ≥ 0. The
paper bounds the explored and the baseline's decisions one by one; their sum is one linear function of θ, so one bound
is enough and never looser. Values of the baseline must not be negative, since its own decisions add α⟨θ, φ_b⟩.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from croupier.features.batch import F64


@dataclass(frozen=True, kw_only=True, eq=False)
class Conservative:
    """What is known and what was promised, after some decisions: `A` (d, d), `b` (d,) Σ r φ, `v` (d,) as above.

    `alpha` in (0, 1) may be lost of the baseline's value, with probability at most `delta`; `noise` is the σ of
    sub-Gaussian rewards (half their range where they are bounded), `norm` bounds ‖θ‖."""

    alpha: float
    delta: float
    noise: float
    norm: float
    ridge: float
    A: F64
    b: F64
    v: F64

    @classmethod
    def begun(cls, d: int, *, alpha: float, delta: float, noise: float, norm: float, ridge: float = 1.0) -> Self:
        """Before any decision, for features of length d. Raises ValueError for shares outside (0, 1) and for scales
        that are not above 0."""
        for name, share in (("alpha", alpha), ("delta", delta)):
            if not 0 < share < 1:
                raise ValueError(f"{name}: found {share}, expected a share between 0 and 1")
        for name, scale in (("noise", noise), ("norm", norm), ("ridge", ridge)):
            if not 0 < scale < np.inf:
                raise ValueError(f"{name}: found {scale}, expected a finite number above 0")
        nothing = np.zeros(d)
        return cls(
            alpha=alpha, delta=delta, noise=noise, norm=norm, ridge=ridge, A=ridge * np.eye(d), b=nothing, v=nothing
        )

    @property
    def radius(self) -> float:
        """β_t."""
        log_det = np.linalg.slogdet(self.A / self.ridge)[1]
        return float(self.noise * np.sqrt(2 * np.log(1 / self.delta) + log_det) + np.sqrt(self.ridge) * self.norm)

    def bounds(self, phi: F64) -> tuple[F64, F64]:
        """Lower and upper bound (K,) of ⟨θ, φ⟩ for `phi` (K, d): they hold at all times with probability 1 − δ."""
        mean, spread = phi @ np.linalg.solve(self.A, self.b), np.linalg.solve(self.A, phi.T).T
        width = self.radius * np.sqrt(np.einsum("kd,kd->k", phi, spread))
        return mean - width, mean + width

    def pmf(self, wanted: F64, phi: F64, baseline: int) -> F64:
        """What may be drawn from (K,): `wanted` (K,), with the mass of arms that could break the promise given to the
        arm `baseline`. Exact, so its entries are what is logged. Raises ValueError where the shapes do not fit."""
        if wanted.shape != (len(phi),) or phi.shape[1:] != self.b.shape or not 0 <= baseline < len(phi):
            raise ValueError(
                f"found pmf {wanted.shape}, features {phi.shape} and baseline {baseline}, "
                f"expected (K,), (K, {len(self.b)}) and an arm of these"
            )
        after = self.v + phi - (1 - self.alpha) * phi[baseline]  # (K, d)
        kept = np.where(self.bounds(after)[0] >= 0, wanted, 0.0)
        kept[baseline] = 0.0
        kept[baseline] = 1.0 - kept.sum()
        return kept

    def decided(self, phi: F64, baseline_phi: F64) -> Self:
        """After a decision: features (d,) of what was drawn and of what the baseline would have drawn. Its reward may
        come later, or never."""
        return self._with(v=self.v + phi - (1 - self.alpha) * baseline_phi)

    def learnt(self, phi: F64, reward: float) -> Self:
        """After a reward, of the features (d,) that earned it. Raises ValueError for one that is no number."""
        if not np.isfinite(reward):
            raise ValueError(f"reward: found {reward}, expected a finite number")
        return self._with(A=self.A + np.outer(phi, phi), b=self.b + reward * phi)

    def _with(self, **changed: F64) -> Self:
        """A copy with other arrays."""
        return type(self)(**{name: getattr(self, name) for name in self.__dataclass_fields__} | changed)
