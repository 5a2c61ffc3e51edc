"""Q̂ of a slot: what a slate earns from this slot on, for cascade-DR. Cross-fitted: no slate's own reward is in its Q̂.

Fitted by backward induction (Jiang & Li 2016): the last slot's Q̂ is its own reward's mean; a slot above predicts its
reward and what the policy is expected to earn below. A mean over the slates of one `group` with this arm in this slot,
shrunk towards that of the arm in all groups, and that towards the slot's. Cascade-DR is unbiased whatever Q̂ is."""

from collections.abc import Callable

import numpy as np

from croupier.features.batch import F64, I64, Bool

SHRUNK = 10.0  # slates that the wider mean counts as

Rest = Callable[[int], F64]  # slot → (n, K), the policy's pmf of that slot given what was logged above it


def cross_fit(place: I64, reward: F64, group: I64, rest: Rest, *, fold: I64) -> tuple[F64, F64]:
    """Returns (predicted, direct), (n, k) each: Q̂ of the logged arms, and Σ_a π(a | above) Q̂(a).

    place, reward (n, k) of the logged slates; group (n,) numbers like contexts from 0; fold (n,) numbers parts of the
    log from 0, each with whole units: a part's Q̂ is fitted on the others. Raises ValueError for fewer than two."""
    if len(np.unique(fold)) < 2:
        raise ValueError(f"fold: found {np.unique(fold).tolist()}, expected two parts or more")
    pmfs = [rest(slot) for slot in range(place.shape[1])]
    predicted, direct = np.empty(place.shape), np.empty(place.shape)
    for part in np.unique(fold):
        held = fold == part
        predicted[held], direct[held] = _predicted(place, reward, group, pmfs, held)
    return predicted, direct


def _predicted(place: I64, reward: F64, group: I64, pmfs: list[F64], held: Bool) -> tuple[F64, F64]:
    """Q̂ and its expectation on the rows `held` (n,), fitted on the others."""
    n, k = place.shape
    K, groups = pmfs[0].shape[1], int(group.max()) + 1
    predicted, direct, below = np.empty((n, k)), np.empty((n, k)), np.zeros(n)
    cell = group[:, None] * K + place
    for slot in reversed(range(k)):
        seen, y = cell[~held, slot], (reward[:, slot] + below)[~held]
        count = np.bincount(seen, minlength=groups * K).reshape(groups, K).astype(np.float64)
        total = np.bincount(seen, y, minlength=groups * K).reshape(groups, K).astype(np.float64)
        q = _shrunk(total, count)
        predicted[:, slot] = q.reshape(-1)[cell[:, slot]]
        direct[:, slot] = below = np.einsum("nk,nk->n", pmfs[slot], q[group])
    return predicted[held], direct[held]


def _shrunk(total: F64, count: F64) -> F64:
    """Means (groups, K) of the cells, shrunk towards their arm's, which are shrunk towards all."""
    whole = total.sum() / max(float(count.sum()), 1.0)
    arm = (total.sum(axis=0) + SHRUNK * whole) / (count.sum(axis=0) + SHRUNK)
    return np.asarray((total + SHRUNK * arm) / (count + SHRUNK))
