"""Off-policy estimators of slates: each returns one value a slate, (n,), whose mean is the estimate.

As with arms (models/ope/estimators.py) a self-normalised estimator returns its linearisation, so that every interval
and every bound of the gate takes any of them. What is estimated is the reward of a slate, Σ_l r_l over its slots.

    sips        any rewards: a slot may depend on the whole slate              weights Π over all slots
    rips        a slot depends on the slots above it and itself                weights Π down to the slot
    cascade_dr  the same, with a reward model that takes most of the noise out
    pi          the slate's expectation is a sum over (slot, arm): no one needs rewards by slot
    iips        a slot depends on its own arm alone                            weights of one slot

Each is unbiased under its line; a log that the policy's slates could not be in biases all (`unsupported`).
"""

from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64
from croupier.models.ope.estimators import Rounds, ratio


@dataclass(frozen=True, kw_only=True, eq=False)
class SlateRounds:
    """n logged slates of k slots as one policy sees them, all (n, k) but pseudo and thinning, (n,).

    reward r of each slot (a reward of the whole slate stands in any one of them, and only sips and pi may be asked);
    logged and target: conditional propensity of the slot given those above it, of the log and of the policy; predicted:
    Q̂ of the slot's arm, the expected rewards from this slot on; direct: Σ_a π(a | above) Q̂(a); thinning 1 /
    pass_probability (ones for a log that kept every slate). None where they are not known: logged_at, target_at,
    probability of the slot's arm in that slot, whatever stands above; pseudo: pseudoinverse weight of the slate
    (models/slates/pseudoinverse.py)."""

    reward: F64
    logged: F64
    target: F64
    predicted: F64
    direct: F64
    thinning: F64
    logged_at: F64 | None = None
    target_at: F64 | None = None
    pseudo: F64 | None = None

    def __post_init__(self) -> None:
        shapes = {f.name: np.shape(getattr(self, f.name)) for f in self._known}
        (n, k) = self.reward.shape if self.reward.ndim == 2 else (0, 0)
        one = {name: (n,) if name in ("pseudo", "thinning") else (n, k) for name in shapes}
        if shapes != one or min(n, k) < 1:
            raise ValueError(f"slates: found shapes {shapes}, expected (n, k), and (n,) for pseudo and thinning")
        for name, p in (("logged", self.logged), ("logged_at", self.logged_at)):
            if p is not None and not (np.all(p > 0) and np.all(p <= 1 + 1e-9)):
                row, slot = np.argwhere(~((p > 0) & (p <= 1 + 1e-9)))[0]
                raise ValueError(f"{name}: found {p[row, slot]} in slot {slot} of slate {row}, expected 0 < p ≤ 1")

    @property
    def _known(self) -> list[Field[Any]]:
        return [f for f in fields(self) if getattr(self, f.name) is not None]

    def __len__(self) -> int:
        return len(self.reward)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in self._known})

    @property
    def at(self) -> F64:
        """(n, k): π / p of each slot's arm in that slot. Raises ValueError where the marginals are not known."""
        if self.target_at is None or self.logged_at is None:
            raise ValueError("slates: found no marginals (logged_at, target_at), expected both for this estimator")
        return np.asarray(self.target_at / self.logged_at)

    @property
    def gain(self) -> F64:
        """(n,): G, the pseudoinverse weights. Raises ValueError where they are not known."""
        if self.pseudo is None:
            raise ValueError("slates: found no pseudoinverse weights (pseudo), expected them for this estimator")
        return self.pseudo

    @property
    def total(self) -> F64:
        """(n,): the reward of each slate."""
        return np.asarray(self.reward.sum(axis=1))

    @property
    def down_to(self) -> F64:
        """(n, k): w_{1:l} = Π of π / p from the first slot to slot l."""
        return np.cumprod(self.target / self.logged, axis=1)

    @property
    def whole(self) -> Rounds:
        """The slates as rounds of one arm each, by their joint propensities: what the gate asks weights of."""
        return Rounds(
            reward=self.total,
            propensity=self.logged.prod(axis=1),
            target=self.target.prod(axis=1),
            predicted=self.predicted[:, 0],
            direct=self.direct[:, 0],
            thinning=self.thinning,
        )


def sips(slates: SlateRounds) -> F64:
    """Standard IPS, w_{1:k} Σ_l r_l. Horvitz & Thompson 1952, on whole slates."""
    return slates.down_to[:, -1] * slates.total


def snsips(slates: SlateRounds) -> F64:
    """Self-normalised standard IPS, Σ w_{1:k} r / Σ w_{1:k}, linearised."""
    weight = slates.down_to[:, -1]
    return ratio(weight * slates.total, weight, slates.thinning)


def rips(slates: SlateRounds) -> F64:
    """Reward-interaction IPS, Σ_l w_{1:l} r_l. McInerney et al. 2020, "Counterfactual evaluation of
    slate recommendations with sequential reward interactions"."""
    return np.asarray((slates.down_to * slates.reward).sum(axis=1))


def snrips(slates: SlateRounds) -> F64:
    """Reward-interaction IPS with each slot's weights self-normalised, linearised."""
    return _by_slot(slates, slates.down_to)


def iips(slates: SlateRounds) -> F64:
    """Independent (item-position) IPS, Σ_l π(a_l at l) / p(a_l at l) r_l. Li et al. 2018, "Offline evaluation of
    ranking policies with click models"."""
    return np.asarray((slates.at * slates.reward).sum(axis=1))


def sniips(slates: SlateRounds) -> F64:
    """Independent IPS with each slot's weights self-normalised, linearised."""
    return _by_slot(slates, slates.at)


def cascade_dr(slates: SlateRounds) -> F64:
    """Σ_l w_{1:l} (r_l − Q̂_l(a_{1:l})) + w_{1:l−1} Σ_a π(a | a_{1:l−1}) Q̂_l(a). Kiyohara et al. 2022, §3.1; that of
    Jiang & Li 2016 and Thomas & Brunskill 2016 for sequences. Unbiased where a slot does not depend on those below it,
    whatever Q̂ is."""
    weight = slates.down_to
    above = np.concatenate([np.ones((len(weight), 1)), weight[:, :-1]], axis=1)
    return np.asarray((weight * (slates.reward - slates.predicted) + above * slates.direct).sum(axis=1))


def pi(slates: SlateRounds) -> F64:
    """Pseudoinverse, G Σ_l r_l with G = q_πᵀ Γ† 1_s. Swaminathan et al. 2017, §3. It needs the slate's reward alone,
    and is unbiased where that is a sum over (slot, arm) in expectation."""
    return slates.gain * slates.total


def wpi(slates: SlateRounds) -> F64:
    """Self-normalised pseudoinverse, Σ G r / Σ G, linearised: "wPI" of Swaminathan et al. 2017, §4."""
    return ratio(slates.gain * slates.total, slates.gain, slates.thinning)


def pi_cv(slates: SlateRounds) -> F64:
    """Pseudoinverse with a control variate, G r − β (G − 1), β of least variance; E[G] = 1. Vlassis et al. 2021: one
    variate."""
    return _controlled(slates, slates.gain[:, None])


def pi_cvs(slates: SlateRounds) -> F64:
    """Pseudoinverse with a control variate a slot beside G's: G r − β₀ (G − 1) − Σ_l β_l (Y_l − 1), with Y_l = π(a_l at
    l) / p(a_l at l) and β of least variance; each E[Y_l] = 1. Vlassis et al. 2021, where G is 1 − k + Σ Y_l: slots that
    depend on each other are why G stands beside them here."""
    return _controlled(slates, np.column_stack([slates.gain, slates.at]))


SlateEstimator = Callable[[SlateRounds], F64]
SLATE_ESTIMATORS: dict[str, SlateEstimator] = {
    "sips": sips, "snsips": snsips, "iips": iips, "sniips": sniips, "rips": rips, "snrips": snrips,
    "cascade_dr": cascade_dr, "pi": pi, "wpi": wpi, "pi_cv": pi_cv, "pi_cvs": pi_cvs,
}  # fmt: skip


def _by_slot(slates: SlateRounds, weight: F64) -> F64:
    """Σ over slots of Σ w_l r_l / Σ w_l, linearised; weight (n, k)."""
    parts = [ratio(w * r, w, slates.thinning) for w, r in zip(weight.T, slates.reward.T, strict=True)]
    return np.asarray(np.sum(parts, axis=0))


def _controlled(slates: SlateRounds, variates: F64) -> F64:
    """G r − Σ β (Y − 1) for variates Y (n, m) of mean 1; β is the least-squares slope of G r on Y. That it was
    estimated costs O(1/n) of bias, and nothing of the spread to first order."""
    value, omega = slates.gain * slates.total, slates.thinning / slates.thinning.sum()
    apart = variates - omega @ variates
    scaled = apart * np.sqrt(omega)[:, None]
    beta = np.linalg.lstsq(scaled, (value - omega @ value) * np.sqrt(omega), rcond=None)[0]
    return np.asarray(value - (variates - 1.0) @ beta)
