"""LinUCB (Li et al. 2010) and LinTS (Agrawal & Goyal 2013): the Bayesian linear head on features as they are.

    heads "shared"    one θ for all arms over φ = [u; x; u ⊗ x; 1], x = [arm; pair]: a new arm is served at once
    heads "per_arm"   a θ for each arm over φ = [u; pair; 1] (LinUCB's "disjoint")
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from features.batch import F32, Batch, Interactions
from models import state
from models.bayesian import Bayesian, Survey
from models.network import BOUND
from models.posterior import Phi


class Linear(Bayesian):
    """`cross` "outer" gives a shared head every product of a context and an arm feature; "none" leaves them out, for
    wide features: the head costs d³ a rebuild and d² a row, d being the length of φ."""

    name: ClassVar[str]

    def __init__(
        self, *, explore: str, heads: str = "shared", cross: str = "outer", alpha: float = 1.0, draws: int = 256,
        prior: str = "default", half_life: float = 0.0, window: int = 0, device: str = "cpu",
    ) -> None:  # fmt: skip
        if cross not in {"outer", "none"}:
            raise ValueError(f"cross: found {cross!r}, expected 'outer' or 'none'")
        super().__init__(
            heads=heads, explore=explore, alpha=alpha, draws=draws, prior=prior, half_life=half_life, window=window,
            device=device, cross=cross,
        )  # fmt: skip

    def _rows(self, u: F32, arm: F32, pair: F32) -> F32:
        """φ (n, d) of n (request, arm) items."""
        one = np.ones((len(u), 1), dtype=np.float32)
        u, arm, pair = (np.clip(x, -BOUND, BOUND, dtype=np.float32) for x in (u, arm, pair))
        if self.parameters["heads"] == "per_arm":
            return np.concatenate([u, pair, one], axis=1)
        x = np.concatenate([arm, pair], axis=1)
        if self.parameters["cross"] == "none":
            return np.concatenate([u, x, one], axis=1)
        outer = (u[:, :, None] * x[:, None, :]).reshape(len(u), u.shape[1] * x.shape[1])
        return np.concatenate([u, x, outer, one], axis=1)

    def _phi(self, batch: Batch) -> Tensor:
        row, position = np.nonzero(batch.mask)
        arm = batch.catalogue.features[batch.arm[row, position]]
        return torch.from_numpy(self._rows(batch.context[row], arm, batch.pair[row, position])).to(self.device)

    def _phi_chosen(self, chunk: Interactions) -> Phi:
        batch, rows = chunk.batch, np.arange(len(chunk))
        arm = batch.catalogue.features[batch.arm[rows, chunk.chosen]]
        return self._rows(batch.context, arm, batch.pair[rows, chunk.chosen])

    def _fit(self, log: Iterable[Interactions], survey: Survey, before: Self) -> int:  # noqa: ARG002 — φ is given
        return self._length()

    def _length(self) -> int:
        d_u, d_a, d_p = self.sizes or (0, 0, 0)
        if self.parameters["heads"] == "per_arm":
            return d_u + d_p + 1
        return d_u + d_a + d_p + 1 + (d_u * (d_a + d_p) if self.parameters["cross"] == "outer" else 0)

    def _restore(self, arrays: state.Arrays, facts: dict[str, Any]) -> int:  # noqa: ARG002 — nothing but the head
        return self._length()


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
