"""LinUCB (Li et al. 2010) and LinTS (Agrawal & Goyal 2013): the Bayesian linear head on features as they are.

heads "shared"    one θ for all arms over φ = [u; x; u ⊗ x; 1], x = [arm; pair]: a new arm is served at once
heads "per_arm"   a θ for each arm over φ = [u; pair; 1] (LinUCB's "disjoint")
heads "hybrid"    both (Li et al., alg. 2): the shared φ, and a θ for each arm over [u; 1]. Arms unknown in training
                  have one such θ together until they are learnt anew
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from croupier.features.batch import F32, F64, I64, Batch, Catalogue, Interactions
from croupier.models import persistence
from croupier.models.bayesian import thompson
from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.heads import SharedHead
from croupier.models.bayesian.network import BOUND, product, tensor
from croupier.models.bayesian.posterior import Phi
from croupier.models.bayesian.survey import Survey
from croupier.models.policy import Among

SMALL = 128  # arms of a catalogue up to which every request is scored against all of it, in one product


class BilinearForm:
    """S draws of a shared head as bilinear forms: x scores [1; u]ᵀ T x, T (1 + d_u, d_x, S), x = [arm; pair].

    What all arms of a request share, u and the constant, cannot change who wins, and is left out. The arm's share T x
    is computed once per catalogue and posterior; a feature of the pair, or of an arm out of many, takes a step each.
    Tested against `linear_scores` of tests/models/plain_formulas.py.
    """

    def __init__(self, weights: Tensor, d_u: int, d_x: int, *, cross: bool) -> None:
        """`weights` (d, S): draws of the head over φ = [u; x; u ⊗ x; 1], or [u; x; 1] without `cross`."""
        plain, rest = weights[d_u : d_u + d_x], weights[d_u + d_x : -1]
        self.T = torch.cat([plain[None], rest.view(d_u, d_x, weights.shape[1])]) if cross else plain[None]
        self._cross = cross
        self._shares: WeakKeyDictionary[Catalogue, Tensor] = WeakKeyDictionary()

    def scores(self, batch: Batch) -> Tensor:
        """(B, K, S), −inf where masked."""
        device, d_a = str(self.T.device), batch.catalogue.features.shape[1]
        u, (B, K), S = tensor(batch.context, device), batch.mask.shape, self.T.shape[2]
        base = torch.cat([u.new_ones(B, 1), u], dim=1) if self._cross else u.new_ones(B, 1)
        x, T = tensor(batch.pair, device), self.T[:, d_a:]
        if batch.catalogue.size > SMALL:
            x, T = torch.cat([tensor(batch.arm_features, device), x], dim=2), self.T
            scores = x.new_zeros(B, K, S)
        else:
            scores = self._by_catalogue(batch, base, d_a)
        _add(scores, x, base, T)
        if not batch.mask.all():
            scores.masked_fill_(torch.from_numpy(~batch.mask).to(device)[:, :, None], -torch.inf)
        return scores

    def _by_catalogue(self, batch: Batch, base: Tensor, d_a: int) -> Tensor:
        """(B, K, S): what arms add. Published ones stand in one product of every request and the whole catalogue, whose
        bits inline arms beside them do not change; these take a step for each feature."""
        catalogue, device, size = batch.catalogue, str(self.T.device), batch.catalogue.size
        (B, K), S = batch.mask.shape, self.T.shape[2]
        inline = batch.arm >= size
        if size and not inline.all():
            whole = product(base, self._share(catalogue.published or catalogue, d_a, device)).view(B * size, S)
            place = np.where(inline, 0, batch.arm) + size * np.arange(B)[:, None]
            scores = whole.index_select(0, torch.from_numpy(place.ravel()).to(device)).view(B, K, S)
        else:
            scores = base.new_zeros(B, K, S)
        if catalogue.published is not None:
            scores.masked_fill_(torch.from_numpy(inline).to(device)[:, :, None], 0.0)
            x = tensor(batch.arm_features * inline[:, :, None], device)
            _add(scores, x, base, self.T[:, :d_a])
        return scores

    def _share(self, catalogue: Catalogue, d_a: int, device: str) -> Tensor:
        """(1 + d_u, A·S)."""
        if catalogue not in self._shares:
            share = tensor(catalogue.features, device) @ self.T[:, :d_a]
            self._shares[catalogue] = share.reshape(len(self.T), len(catalogue.ids) * self.T.shape[2])
        return self._shares[catalogue]


def _add(scores: Tensor, x: Tensor, base: Tensor, T: Tensor) -> None:
    """Adds base T x to scores (B, K, S), a feature of x (B, K, d) at a time: each score by itself, in one order."""
    B, wide, S = len(scores), T.shape[1], T.shape[2]
    by_request = product(base, T.reshape(len(T), wide * S)).view(B, wide, S)
    for j in range(wide):
        scores.addcmul_(x[:, :, j, None], by_request[:, j, None])


class Linear(Bayesian):
    """`cross` "outer" gives a shared head every product of a context and an arm feature; "none" leaves them out, for
    wide features: the head costs d³ a rebuild and d² a row, d being the length of φ."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ("shared", "per_arm", "hybrid")

    def __init__(
        self,
        *,
        explore: str,
        heads: str = "shared",
        cross: str = "outer",
        alpha: float = 1.0,
        draws: int = 256,
        prior: str = "default",
        half_life: float = 0.0,
        window: int = 0,
        device: str = "cpu",
    ) -> None:
        if cross not in {"outer", "none"}:
            raise ValueError(f"cross: found {cross!r}, expected 'outer' or 'none'")
        super().__init__(
            heads=heads,
            explore=explore,
            alpha=alpha,
            draws=draws,
            prior=prior,
            half_life=half_life,
            window=window,
            device=device,
            cross=cross,
        )
        self.known: tuple[str, ...] = ()  # hybrid: arms with a block of their own
        self._forms: WeakKeyDictionary[SharedHead, BilinearForm] = WeakKeyDictionary()

    @torch.inference_mode()
    def _pmf(self, batch: Batch) -> F64:
        """Thompson sampling with a shared head never writes φ out."""
        form = self._form()
        if form is None:
            return super()._pmf(batch)
        scores = form.scores(batch)
        return thompson.votes(scores if batch.price is None else scores - thompson.prices(batch, scores)[:, :, None])

    def _scored(self, batch: Batch) -> Among:
        form = self._form()
        return super()._scored(batch) if form is None else thompson.among(form.scores(batch))

    def _form(self) -> BilinearForm | None:
        """The draws of a shared head as forms; None where this policy has none, or does not draw."""
        p, head = self.parameters, self.heads
        if not isinstance(head, SharedHead) or (p["heads"], p["explore"]) != ("shared", "thompson"):
            return None
        if head not in self._forms:
            d_u, d_a, d_p = self.sizes or (0, 0, 0)
            drawn = head.drawn(seed=self.seed, draws=p["draws"], device=self.device)
            self._forms[head] = BilinearForm(drawn, d_u, d_a + d_p, cross=p["cross"] == "outer")
        return self._forms[head]

    def _wide(self, batch: Batch) -> int:
        return max(super()._wide(batch), sum(self.sizes or ()), min(batch.catalogue.size, SMALL))

    def _rows(self, u: F32, arms: I64, pair: F32, catalogue: Catalogue) -> F32:
        """φ (n, d) of n items (request, row of the catalogue). Features are clipped to ±BOUND."""
        parts = [u, pair] if self.parameters["heads"] == "per_arm" else [u, catalogue.features[arms], pair]
        blocks, n, d_u = self._blocks() * (u.shape[1] + 1), len(u), u.shape[1]
        phi = np.empty((n, self._length()), dtype=np.float32)
        phi[:, -1], wide = 1.0, blocks
        for x in map(_clipped, parts):
            phi[:, wide : wide + x.shape[1]] = x
            wide += x.shape[1]
        if wide < self._length() - 1:
            outer = phi[:, blocks : blocks + d_u, None] * phi[:, None, blocks + d_u : wide]
            phi[:, wide:-1] = outer.reshape(n, d_u * outer.shape[2])
        if blocks:
            own = np.zeros((n, self._blocks(), d_u + 1), dtype=np.float32)
            own[np.arange(n), self._block_of(catalogue)[arms]] = phi[:, [*range(blocks, blocks + d_u), -1]]
            phi[:, :blocks] = own.reshape(n, blocks)
        return phi

    def _blocks(self) -> int:
        return len(self.known) + 1 if self.parameters["heads"] == "hybrid" else 0

    def _block_of(self, catalogue: Catalogue) -> I64:
        """Returns (A,): the block of each row; the last is that of all arms unknown."""
        place = {arm: i for i, arm in enumerate(self.known)}
        return np.array([place.get(arm, len(place)) for arm in catalogue.ids], dtype=np.int64)

    def phi(self, batch: Batch) -> Tensor:
        row, position = np.nonzero(batch.mask)
        phi = self._rows(batch.context[row], batch.arm[row, position], batch.pair[row, position], batch.catalogue)
        return torch.from_numpy(phi).to(self.device)

    def _phi_chosen(self, chunk: Interactions) -> Phi:
        return self._rows(chunk.batch.context, *chunk.shown, chunk.batch.catalogue)

    def _fit(self, log: Iterable[Interactions], survey: Survey, before: Self) -> int:  # noqa: ARG002 — φ is given
        self.known = survey.arms if self.parameters["heads"] == "hybrid" else ()
        return self._length()

    def _length(self) -> int:
        d_u, d_a, d_p = self.sizes or (0, 0, 0)
        if self.parameters["heads"] == "per_arm":
            return d_u + d_p + 1
        crossed = d_u * (d_a + d_p) if self.parameters["cross"] == "outer" else 0
        return self._blocks() * (d_u + 1) + d_u + d_a + d_p + 1 + crossed

    def _facts(self) -> dict[str, Any]:
        return {"known": list(self.known)}

    def _restore(self, arrays: persistence.Arrays, facts: dict[str, Any]) -> int:  # noqa: ARG002 — nothing but the head
        self.known = tuple(facts.get("known", ()))
        return self._length()


def _clipped(x: F32) -> F32:
    """Returns x within ±BOUND; a copy only where it must be."""
    return x if x.size == 0 or max(x.max(), -x.min()) <= BOUND else np.clip(x, -BOUND, BOUND)


class LinTS(Linear):
    """Linear Thompson sampling."""

    name: ClassVar[str] = "lin_ts"

    def __init__(self, *, explore: str = "thompson", **parameters: Any) -> None:
        super().__init__(explore=explore, **parameters)


class LinUCB(Linear):
    """The upper confidence bound, `alpha` standard widths above the mean; ties share."""

    name: ClassVar[str] = "lin_ucb"

    def __init__(self, *, explore: str = "ucb", **parameters: Any) -> None:
        super().__init__(explore=explore, **parameters)
