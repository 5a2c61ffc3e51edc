"""A trained network as numbers: [context; arm; pair] → φ, ReLU layers and a constant. Serving needs no more than these.

The last layer has one column more, which is 0 but for a bias of 1, so that φ's constant comes out of the same product.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from croupier.features.batch import F32, Batch
from croupier.models.bayesian.arrays import Array, beside, bounded, host, on, positive, product
from croupier.models.bayesian.survey import Sizes


@dataclass(frozen=True, eq=False)
class Layers:
    """`weights` (i, o) and `biases` (o,) of each layer, on a device; `sizes` are the lengths of context, arm and pair
    features that the first one reads."""

    sizes: Sizes
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    device: str

    @classmethod
    def of(cls, state: Mapping[str, F32], sizes: Sizes, device: str) -> Self:
        """From a network's parameters by their names: `layers.0.weight` (o, i), `layers.0.bias` (o,), and so on."""
        count = sum(key.startswith("layers.") and key.endswith(".bias") for key in state)
        weights = [np.ascontiguousarray(state[f"layers.{i}.weight"].T) for i in range(count)]
        biases = [state[f"layers.{i}.bias"] for i in range(count)]
        weights[-1] = np.concatenate([weights[-1], np.zeros((len(weights[-1]), 1), np.float32)], axis=1)
        biases[-1] = np.append(biases[-1], np.float32(1.0))
        return cls(sizes, tuple(on(w, device) for w in weights), tuple(on(b, device) for b in biases), device)

    def arm_share(self, features: F32) -> Array:
        """Returns (A, width): the arms' share of the first layer, its bias included, computed once per catalogue."""
        d_u, d_a, _ = self.sizes
        return product(bounded(features[:, :d_a], self.device), self.weights[0][d_u : d_u + d_a]) + self.biases[0]

    def phi(self, batch: Batch, arm_share: Array) -> Array:
        """φ (n, h + 1) of every candidate, in the order of `batch.mask`."""
        (d_u, d_a, d_p), first, mask = self.sizes, self.weights[0], batch.mask
        context = product(bounded(batch.context, self.device), first[:d_u])
        whole = mask.all()
        arm, pair = (
            (batch.arm.ravel(), batch.pair.reshape(mask.size, d_p)) if whole else (batch.arm[mask], batch.pair[mask])
        )
        x = arm_share[beside(arm, arm_share)]
        if whole:
            by_request = x.reshape(*mask.shape, -1)
            by_request += context[:, None]
        else:
            x += context[beside(np.nonzero(mask)[0], context)]
        if d_p:
            x += product(bounded(pair, self.device), first[d_u + d_a :])
        return self._after_first(x)

    def rows(self, x: F32) -> F32:
        """φ (n, h + 1) of rows [context; arm; pair] (n, d)."""
        found: F32 = host(self._after_first(product(bounded(x, self.device), self.weights[0]) + self.biases[0]))
        return found

    def _after_first(self, x: Array) -> Array:
        for w, b in zip(self.weights[1:], self.biases[1:], strict=True):
            x = product(positive(x), w) + b
        return positive(x)


def arrays_of(state: Mapping[str, Any]) -> dict[str, F32]:
    """A torch network's parameters as arrays of their own."""
    return {key: value.detach().cpu().numpy().copy() for key, value in state.items()}
