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

from croupier.features.batch import F32, F64, I64, Batch, Catalogue, Interactions
from croupier.models import persistence
from croupier.models.bayesian import thompson
from croupier.models.bayesian.arrays import BOUND, Array, beside, bounded, host, of, on, product
from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.heads import SharedHead
from croupier.models.bayesian.posterior import Phi
from croupier.models.bayesian.survey import Survey
from croupier.models.policy import Among


class BilinearForm:
    """S draws of a shared head as bilinear forms: x scores [1; u]ᵀ T x, T (1 + d_u, d_x, S), x = [arm; pair].

    What all arms of a request share, u and the constant, cannot change who wins, and is left out. [1; u]ᵀ T is computed
    once a request, and a candidate takes d_x products a draw of it, inline or of the catalogue. Tested against
    `linear_scores` of tests/models/plain_formulas.py.
    """

    def __init__(
        self, weights: Array, d_u: int, d_x: int, *, cross: bool, arms: "WeakKeyDictionary[Catalogue, Array]"
    ) -> None:
        """`weights` (d, S): draws of the head over φ = [u; x; u ⊗ x; 1], or [u; x; 1] without `cross`. `arms`: what
        `_of` keeps, which every posterior of a policy shares: of a million arms it is a hundred megabytes."""
        self._plain = weights[d_u : d_u + d_x]
        self._crossed = weights[d_u + d_x : -1].reshape(d_u, d_x * weights.shape[1]) if cross else None
        self._arms = arms

    def for_arms(self, context: F32) -> F64:
        """(d_x, S): the weights that arms' features x have for a request's context (d_u,), in each draw."""
        plain = host(self._plain).astype(np.float64)
        if self._crossed is None:
            return plain
        u = np.clip(context, -BOUND, BOUND).astype(np.float64)
        return plain + (u @ host(self._crossed).astype(np.float64)).reshape(plain.shape)

    def scores(self, batch: Batch) -> Array:
        """(B, K, S), −inf where masked."""
        (B, K), plain = batch.mask.shape, self._plain
        x = self._of(batch.catalogue)[beside(batch.arm.ravel(), plain)].reshape(B, K, -1)
        if batch.pair.shape[2]:
            x = of(plain).concatenate([x, beside(bounded(batch.pair, "cpu"), plain)], 2)
        if self._crossed is None:
            scores = product(x.reshape(B * K, -1), plain).reshape(B, K, -1)
        else:
            by_request = product(beside(bounded(batch.context, "cpu"), plain), self._crossed).reshape(B, *plain.shape)
            by_request += plain  # in its place: a new array of that size costs as long again
            scores = product(x, by_request)
        return scores if batch.mask.all() else thompson.without(scores, batch.mask)

    def _of(self, catalogue: Catalogue) -> Array:
        """(A, d_a): the features of all arms, within their bounds, once a catalogue."""
        if catalogue not in self._arms:
            self._arms[catalogue] = beside(bounded(catalogue.features, "cpu"), self._plain)
        return self._arms[catalogue]


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
        self._arms: WeakKeyDictionary[Catalogue, Array] = WeakKeyDictionary()

    def _pmf(self, batch: Batch) -> F64:
        """Thompson sampling with a shared head never writes φ out."""
        form = self._form()
        if form is None:
            return super()._pmf(batch)
        return thompson.votes(thompson.paid(form.scores(batch), batch))

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
            self._forms[head] = BilinearForm(drawn, d_u, d_a + d_p, cross=p["cross"] == "outer", arms=self._arms)
        return self._forms[head]

    def drawn_for(self, context: F32) -> F64:
        """(d_x, S): what each draw of the shared head weighs an arm's features x with, for a request (d_u,): the score
        of an arm is their product. For scans of very many arms (models/retrieval/parts.py). Raises ValueError where
        arms do not share one head, or the policy does not draw."""
        form = self._form()
        if form is None or self.sizes is None:
            p = self.parameters
            found = f"heads = {p['heads']!r}, explore = {p['explore']!r}" if self.sizes else "an untrained policy"
            raise ValueError(f"{self.name}: found {found}, expected a trained one that draws one shared head")
        return form.for_arms(context)

    def _wide(self, batch: Batch) -> int:
        return max(super()._wide(batch), sum(self.sizes or ()))

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

    def phi(self, batch: Batch) -> Array:
        row, position = np.nonzero(batch.mask)
        phi = self._rows(batch.context[row], batch.arm[row, position], batch.pair[row, position], batch.catalogue)
        return on(phi, self.device)

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
