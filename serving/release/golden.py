"""Golden decisions: requests, and the pmf that the code which made a release computed for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from croupier.features.batch import F64, Batch, Catalogue
from croupier.features.encoding.encoder import Encoder


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One request and the pmf that `role`'s policy, floor included, gives it."""

    context: dict[str, Any]
    arms: tuple[str, ...]
    arm_context: tuple[dict[str, Any], ...]
    role: str
    pmf: tuple[float, ...]
    arm_features: tuple[dict[str, Any] | None, ...] = ()


def golden_of(
    role: str,
    requests: Sequence[Mapping[str, Any]],
    encoder: Encoder,
    catalogue: Catalogue,
    served: Callable[[Batch], F64],
) -> list[Golden]:
    """The golden decisions of `requests` (context, arms, arm_context, arm_features); `served(batch)` gives the role's
    pmfs (B, K)."""
    if not requests:
        return []
    contexts, arms = [r["context"] for r in requests], [tuple(r["arms"]) for r in requests]
    pairs, given = ([tuple(r.get(name, ())) for r in requests] for name in ("arm_context", "arm_features"))
    pmf = served(encoder.encode(contexts, arms, pairs, catalogue, given))
    return [
        Golden(context=c, arms=a, arm_context=p, role=role, pmf=tuple(row[: len(a)].tolist()), arm_features=f)
        for c, a, p, f, row in zip(contexts, arms, pairs, given, pmf, strict=True)
    ]
