"""The guardrails of app.toml as the gate judges them: values of each round, margins, and what could not be checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from croupier.features.batch import F64
from croupier.features.spec import AppSpec
from croupier.models.gate.gate import GUARDRAIL
from croupier.models.ope.unchecked import Unchecked


@dataclass(frozen=True, kw_only=True, eq=False)
class Guarded:
    """values: by kind (n,), higher is better; margins: how much a decision each may be shown to lose; widths: of their
    ranges; unchecked: those that cannot be judged on these rows, all of which block."""

    values: Mapping[str, F64] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)
    unchecked: tuple[Unchecked, ...] = ()


def guarded(spec: AppSpec, totals: pl.DataFrame | None) -> Guarded:
    """From the totals of each judged round (features/interactions/guardrail_totals.py); None where they were encoded
    without."""
    values, widths, unchecked = dict[str, F64](), dict[str, float](), list[Unchecked]()
    for kind, harmful in spec.guardrails.items():
        low, high = spec.rollout.guardrail_ranges.get(kind, (0.0, 1.0))
        if totals is None or kind not in totals.columns:
            why = "these features were encoded before it was declared; run build_features again"
        else:
            found = totals[kind].to_numpy().astype(np.float64)
            why = _outside(found, low, high)
        if why:
            unchecked.append(Unchecked(name=f"{GUARDRAIL}{kind}", reason=why, blocks=True))
        else:
            values[kind], widths[kind] = -found if harmful == "higher" else found, high - low
    margins = {
        kind: spec.gate.guardrail_margins.get(kind, spec.gate.guardrail_margin * width)
        for kind, width in widths.items()
    }
    return Guarded(values=values, margins=margins, widths=widths, unchecked=tuple(unchecked))


def _outside(found: F64, low: float, high: float) -> str:
    """Why these totals cannot be held against the declared range; "" if they can."""
    bad = ~((found >= low) & (found <= high))  # what is no number is not within either
    if not bad.any():
        return ""
    example = f"{int(bad.sum()):,} of {len(found):,} decisions, such as {found[bad][0]:g}"
    return f"values lie outside the declared range [{low:g}, {high:g}] ([rollout] guardrail_ranges): {example}"
