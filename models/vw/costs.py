"""The costs of a bilinear form over a batch. What depends on the arm alone is computed once per catalogue; inline arms,
of which each is one request's, are added up by request.

Sums run over one (request, arm) at a time in a fixed order, so that a row's costs never depend on its batch mates, and
arms of a request with equal features tie exactly.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from croupier.features.batch import F32, F64, Batch, Bool, Catalogue
from croupier.models.vw.form import BOUND, Bilinear


@dataclass(frozen=True)
class _Shares:
    """What does not depend on the request: cost = arm[a]·[1, u] + xᵀ pair [1, u], x the features of the pair. `arm`
    (m, A, 1 + d_u) = [b + w_a·a, W_a a + w_u], `pair` (m, d_p, 1 + d_u) = [w_p, W_pᵀ]."""

    arm: F64
    pair: F64


class BilinearCosts:
    """Computes the costs of one form's members, and keeps what each catalogue adds to them."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Catalogue, _Shares] = WeakKeyDictionary()

    def costs(self, batch: Batch, form: Bilinear) -> F64:
        """Returns each member's costs, (m, B, K)."""
        alone, u = _brings_all(batch), with_one(batch.context)
        if alone is not None and alone.all():
            cost, pair = _of_inline(batch, u, form), self._of(batch.catalogue.published or batch.catalogue, form).pair
        else:
            shares = self._of(batch.catalogue, form)
            cost, pair = np.einsum("mbku,bu->mbk", shares.arm.take(batch.arm, axis=1), u), shares.pair
            if alone is not None and alone.any():
                cost[:, alone] = _of_inline(batch[alone], u[alone], form)
        if batch.pair.shape[2]:
            cost += np.einsum("bkp,mbp->mbk", clipped(batch.pair), np.einsum("mpu,bu->mbp", pair, u))
        return cost

    def _of(self, catalogue: Catalogue, form: Bilinear) -> _Shares:
        shares = self._kept.get(catalogue)
        if shares is None:
            d_a, published = catalogue.features.shape[1], catalogue.published
            if published is None:
                arm = _arm_share(catalogue.features, form)
                pair = np.concatenate([form.w_x[:, d_a:, None], form.W[:, :, d_a:].swapaxes(1, 2)], axis=2)
            else:
                known = self._of(published, form)
                arm = np.concatenate([known.arm, _arm_share(catalogue.inline_features, form)], axis=1)
                pair = known.pair
            self._kept[catalogue] = shares = _Shares(arm=arm, pair=pair)
        return shares


def _brings_all(batch: Batch) -> Bool | None:
    """(B,) True where a request brings all of its candidates along; None where none brings any."""
    if batch.catalogue.published is None:
        return None
    found: Bool = ((batch.arm >= batch.catalogue.size) | ~batch.mask).all(axis=1)
    return found


def _of_inline(batch: Batch, u: F64, form: Bilinear) -> F64:
    """Returns (m, B, K), what arms cost that one request alone has: b + w_u·u, and (w_a + W_aᵀu)·a."""
    d_a = batch.catalogue.features.shape[1]
    alone = np.concatenate([form.bias[:, None], form.w_u], axis=1)
    by_request = np.concatenate([form.w_x[:, None, :d_a], form.W[:, :, :d_a]], axis=1)
    base, weights = np.einsum("mu,bu->mb", alone, u), np.einsum("mui,bu->mbi", by_request, u)
    cost: F64 = base[:, :, None] + np.einsum("bki,mbi->mbk", clipped(batch.arm_features), weights)
    return cost


def _arm_share(features: F32, form: Bilinear) -> F64:
    """Returns (m, A, 1 + d_u): what each arm (A, d_a) contributes to a member's cost, alone and by context."""
    a, d_a = clipped(features), features.shape[1]
    cost = form.bias[:, None] + np.einsum("ai,mi->ma", a, form.w_x[:, :d_a])
    by_context = np.einsum("ai,mui->mau", a, form.W[:, :, :d_a].copy()) + form.w_u[:, None]
    return np.concatenate([cost[:, :, None], by_context], axis=2)


def clipped(features: F32) -> F64:
    """Returns features in float64, clipped, at the least price of a request by itself."""
    x = features.astype(np.float64)
    return np.minimum(np.maximum(x, -BOUND, out=x), BOUND, out=x)


def with_one(context: F32) -> F64:
    """[1, u] (B, 1 + d_u), clipped."""
    u = np.empty((len(context), 1 + context.shape[1]))
    u[:, 0], u[:, 1:] = 1.0, context
    return np.minimum(np.maximum(u, -BOUND, out=u), BOUND, out=u)
