"""Logs in which a few units come most often, each with a taste of its own: is a null candidate kept out?

Activity falls by Zipf's law. The candidate's arm is worth TASTE more or less than the champion's to a unit, by a fair
coin: over units to come the lift is zero (or `lift`), and a gate that takes rows for units promotes it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.features.batch import I64
from croupier.features.spec import GateSpec
from croupier.models.gate.bounds.steadied import extremes, powers
from croupier.models.gate.evidence import evidence_of
from croupier.models.gate.gate import PROMOTE, Evidence, judge
from croupier.models.ope.estimators import Rounds, effective_units
from croupier.models.simulation.power.table import limits

ARMS, FLOOR, TASTE, BASE = 5, 0.02, 0.15, 0.3
UNITS = 5000


@dataclass(frozen=True, kw_only=True)
class ActiveUnits:
    """Units whose activity falls as rank^−exponent; exponent 0: all alike. `apart`: every row is another unit, which
    the tastes then make independent. lift: what the candidate's arm is worth more, on average over units.
    known: whether the gate is told whose rows they are."""

    exponent: float
    rows: int = 20_000
    lift: float = 0.0
    apart: bool = False
    known: bool = True

    @classmethod
    def named(cls, text: str, **more: Any) -> "ActiveUnits":
        """From `zipf:1.8`. Raises ValueError for anything else."""
        found = re.fullmatch(r"zipf:(\d+(?:\.\d+)?)", text)
        if found is None or float(found[1]) > 10:
            raise ValueError(f"units: found {text!r}, expected zipf:EXPONENT with an exponent of 0 to 10, as zipf:1.8")
        return cls(exponent=float(found[1]), **more)

    def log(self, seed: int) -> tuple[Evidence, I64]:
        """What the gate is told of one uniform log, and the rows' units."""
        rng = np.random.default_rng([seed, int(10 * self.exponent)])
        often = np.arange(1, UNITS + 1) ** -self.exponent
        unit = np.arange(self.rows) if self.apart else rng.choice(UNITS, size=self.rows, p=often / often.sum())
        taste, arm = rng.choice([-TASTE, TASTE], size=int(unit.max()) + 1), rng.integers(ARMS, size=self.rows)
        chance = BASE + np.where(arm == 1, taste[unit] + self.lift, 0.0)
        reward = (rng.random(self.rows) < chance).astype(np.float64)
        pmfs = np.full((2, 1, ARMS), FLOOR / ARMS)
        pmfs[0, 0, 1], pmfs[1, 0, 0] = 1 - FLOOR + FLOOR / ARMS, 1 - FLOOR + FLOOR / ARMS
        even, flat = np.full((1, ARMS), 1.0 / ARMS), np.full(self.rows, BASE)
        fixed = {"reward": reward, "propensity": np.full(self.rows, 1.0 / ARMS), "thinning": np.ones(self.rows)}
        sides = [Rounds(target=pmf[0, arm], predicted=flat, direct=flat, **fixed) for pmf in pmfs]
        number = np.unique(unit, return_inverse=True)[1]
        found = evidence_of(
            *sides,
            divergence=np.repeat(powers(even, *pmfs), self.rows, axis=0),
            reach=np.repeat(extremes(even, *pmfs), self.rows, axis=0),
            declared=(0.0, 1.0),
            self_test=1.0,
            unsupported=0.0,
            guardrails={},
            unit=number if self.known else None,
        )
        return found, number


def count(
    crowd: ActiveUnits, *, runs: int, seed: int = 0, progress: Callable[[int], object] = lambda _: None
) -> dict[str, Any]:
    """Promotions among `runs` logs, with the condition on effective units and without it. JSON-able."""
    specs = {"promoted": GateSpec(), "promoted_without_condition": GateSpec(min_units=1.0)}
    hits, seen, worth = dict.fromkeys(specs, 0), 0, 0.0
    for run in range(runs):
        found, unit = crowd.log(seed + run)
        for name, spec in specs.items():
            hits[name] += judge(found, spec).decision == PROMOTE
        seen, worth = seen + int(unit.max()) + 1, worth + effective_units(unit)
        progress(1)
    low, high = limits(hits["promoted"], runs)
    return vars(crowd) | {"runs": runs, "seed": seed, "units": seen / runs, "effective_units": worth / runs} | {
        "limits_95": [low, high], **{name: n / runs for name, n in hits.items()}}  # fmt: skip
