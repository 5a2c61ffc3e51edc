"""The condition of a Bayesian head: how many digits of its mean are right, and which features are nearly the same.

The mean solves (A + λI) w = b. Its relative error is at most about κ ε, κ the condition number of A + λI and ε = 2⁻⁵²
(Golub & Van Loan 2013, Matrix Computations, §2.6): above MOST fewer than four digits can be relied on, and that is
watched. Features that go together make κ large long before that, and cost nothing but the meaning of single weights:
pairs with |r| of ALIKE or more are named, and shown.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.heads import ArmHeads, SharedHead
from croupier.models.bayesian.linear import Linear
from croupier.models.bayesian.posterior import Posterior

MOST = 1e12
ALIKE = 0.95
NAMED = 5
WIDEST = 2000  # length of φ, beyond which eigenvalues take too long for an hourly look
LARGEST = 1e20
SINGLE = "every arm"


@dataclass(frozen=True, kw_only=True)
class NearlyAlike:
    """Two features whose correlation, over the rows that were learnt, is `r`."""

    one: str
    other: str
    r: float


@dataclass(frozen=True, kw_only=True)
class HeadCondition:
    """`number` is κ of the precision of `who`'s head; where each arm has its own, of the worst one, which is `arm`.
    `alike` are features of that head that are nearly the same."""

    who: str
    number: float
    arm: str
    size: int
    alike: tuple[NearlyAlike, ...]

    @property
    def unreliable(self) -> bool:
        """True if fewer than four digits of the posterior's mean can be relied on."""
        return self.number > MOST

    def to_dict(self) -> dict[str, Any]:
        """The condition as JSON."""
        return asdict(self) | {"unreliable": self.unreliable}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Self:
        """Reads what `to_dict` made."""
        own = {k: v for k, v in found.items() if k != "unreliable"}
        return cls(**own | {"alike": tuple(NearlyAlike(**each) for each in found["alike"])})


def condition(who: str, policy: object, names: Sequence[str] = ()) -> HeadCondition | None:
    """Returns the condition of a policy's head; None of a policy without one, untrained, or with a φ that is longer
    than WIDEST. `names` (d,) say what φ is; without them columns have numbers."""
    if not isinstance(policy, Bayesian) or policy.sizes is None:
        return None
    heads = _heads(policy)
    size = len(next(iter(heads.values())).moments.b) if heads else 0
    if not 0 < size <= WIDEST:
        return None
    numbers = {arm: condition_number(head) for arm, head in heads.items()}
    arm = max(numbers, key=lambda name: numbers[name])
    known = names if len(names) == size else [f"φ {k}" for k in range(size)]
    return HeadCondition(who=who, number=numbers[arm], arm=arm, size=size, alike=alike(heads[arm], known))


def _heads(policy: Bayesian) -> dict[str, Posterior]:
    if isinstance(policy.heads, ArmHeads):
        return dict(policy.heads.arms)
    return {SINGLE: policy.heads.posterior} if isinstance(policy.heads, SharedHead) else {}


def condition_number(head: Posterior) -> float:
    """Returns λ_max / λ_min of A + λI; LARGEST where rounding has left no positive eigenvalue."""
    values = np.linalg.eigvalsh(head.moments.A + head.prior.precision * np.eye(len(head.moments.b)))
    return float(values[-1] / max(values[0], values[-1] / LARGEST))


def alike(head: Posterior, names: Sequence[str]) -> tuple[NearlyAlike, ...]:
    """Returns the NAMED pairs of different features that are most alike, |r| ≥ ALIKE. φ ends in the constant 1, so that
    its moments hold the means of the others; levels of one category, and products of a shared factor, are no news."""
    A, n = head.moments.A, head.moments.A[-1, -1]
    if n <= 1:
        return ()
    mean = A[-1, :-1] / n
    covariance = A[:-1, :-1] / n - np.outer(mean, mean)
    variance = np.diagonal(covariance)
    known = np.flatnonzero(variance > 1e-9 * np.maximum(mean**2, 1e-9))
    r = covariance[np.ix_(known, known)] / np.sqrt(np.outer(variance[known], variance[known]))
    i, j = np.nonzero(np.triu(np.abs(r) >= ALIKE, 1))
    pairs = [(names[known[a]], names[known[b]], r[a, b]) for a, b in zip(i, j, strict=True)]
    news = [pair for pair in pairs if not _factors(pair[0]) & _factors(pair[1])]
    made = [NearlyAlike(one=a, other=b, r=float(np.clip(x, -1.0, 1.0))) for a, b, x in news]
    return tuple(sorted(made, key=lambda pair: -abs(pair.r))[:NAMED])


def _factors(name: str) -> set[str]:
    """'device=tv × age' → {device, age}."""
    return {part.partition("=")[0] for part in name.split(" × ")}


def phi_names(policy: object, context: Sequence[str], arm: Sequence[str], pair: Sequence[str]) -> tuple[str, ...]:
    """Returns (d,) what a linear policy's φ is, in its order, given the names of the encoder's columns; () of a
    network, whose φ has no names."""
    if not isinstance(policy, Linear):
        return ()
    if policy.parameters["heads"] == "per_arm":
        return (*context, *pair, "1")
    x = (*arm, *pair)
    own = policy.parameters["heads"] == "hybrid"
    blocks = [f"{u} × arm={each}" for each in ((*policy.known, "any other") if own else ()) for u in (*context, "1")]
    crossed = [f"{u} × {v}" for u in context for v in x] if policy.parameters["cross"] == "outer" else []
    return (*blocks, *context, *x, *crossed, "1")
