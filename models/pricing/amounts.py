"""Amounts of money as policies see them: the price and the margin of each candidate, read off encoded columns.

An encoded number is (x − mean) / scale, so x is a constant and a weight times its column, and so are sums of such
numbers. A policy keeps these few weights beside its own, and needs nothing but the batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from croupier.features.batch import F32, F64, Batch
from croupier.features.declared.pricing import DEMAND, PricingSpec
from croupier.features.encoding.encoder import SCOPES, Encoder

Weights = Sequence[tuple[int, float]]  # a column of a scope, and its weight


@dataclass(frozen=True, kw_only=True)
class Amount:
    """constant + Σ weight · column, over columns of the request, the arm, and the pair of both."""

    constant: float = 0.0
    context: Weights = ()
    arm: Weights = ()
    arm_context: Weights = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Restores what `to_json` made. Raises TypeError for another key."""
        parts = {scope: tuple((int(c), float(w)) for c, w in body.get(scope, ())) for scope in SCOPES}
        return cls(**(dict(body) | parts | {"constant": float(body.get("constant", 0.0))}))

    @classmethod
    def declared(cls, encoder: Encoder, named: str | float) -> Self:
        """The amount that app.toml names, SCOPE.NAME, or a number, by the columns of this encoder. Raises ValueError
        for what is no fitted number, or one whose logarithm or clipped value is encoded."""
        if not isinstance(named, str):
            return cls(constant=float(named))
        scope, _, name = named.partition(".")
        block = encoder.block(scope) if scope in SCOPES else None
        found = next((f for f in block.features if f.name == name), None) if block else None
        if block is None or found is None or found.type != "numeric" or found.log:
            raise ValueError(f"pricing: found {named!r}, expected a number that is encoded as it is, SCOPE.NAME")
        column: Any = {scope: ((block.span[name].start, found.scale),)}
        return cls(constant=found.mean, **column)

    def __sub__(self, other: Self) -> Self:
        parts: Any = {
            scope: (*getattr(self, scope), *((column, -weight) for column, weight in getattr(other, scope)))
            for scope in SCOPES
        }
        return type(self)(constant=self.constant - other.constant, **parts)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a policy's parameters have them."""
        return {"constant": self.constant} | {scope: [list(each) for each in getattr(self, scope)] for scope in SCOPES}

    def of_candidates(self, batch: Batch) -> F64:
        """(B, K): the amount for each candidate, in money."""
        own = _summed(batch.catalogue.features, self.arm)[batch.arm] + _summed(batch.pair, self.arm_context)
        return np.asarray(self.constant + _summed(batch.context, self.context)[:, None] + own)


def _summed(columns: F32, weights: Weights) -> F64:
    """Σ weight · column, (…) of (…, d)."""
    found = np.zeros(columns.shape[:-1])
    for column, weight in weights:
        found += weight * columns[..., column].astype(np.float64)
    return found


def parameters(policy: str, encoder: Encoder, pricing: PricingSpec) -> dict[str, Any]:
    """What the policy of demand is made with, of an app whose arms are prices; nothing for others, which learn profits
    as they learn all rewards. Raises ValueError where the encoder does not have price and cost as they are."""
    if policy != DEMAND or not pricing.declared:
        return {}
    price = Amount.declared(encoder, pricing.price)
    margin = price - Amount.declared(encoder, pricing.cost)
    return {"price": price.to_json(), "margin": margin.to_json(), "monotone": pricing.monotone, "most": pricing.most}
