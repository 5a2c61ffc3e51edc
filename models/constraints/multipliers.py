"""The prices of long-run constraints, as a small versioned object: what a decision's scores are reduced by.

A constraint c says that the mean of its usage u_c(context, arm) over all decisions stays at most a limit. With its
Lagrange multiplier λ_c ≥ 0, a decision's score of an arm is score − Σ_c λ_c u_c (Agrawal & Devanur 2014, "Bandits with
concave rewards and convex knapsacks"; Balseiro, Lu & Mirrokni 2020, "The best of many worlds: dual mirror descent for
online allocation problems"). It is taken off before the policy explores, so the pmf is that of a policy with these
scores: exact, drawn from, logged. Who replays or evaluates a decision needs the multipliers' version, and nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64
from croupier.models.constraints.allowance import Allowance

FIELDS = ("version", "prices", "made_from", "stopped", "day")
ADDED = {
    "left": dict[str, float](),
    "hosts": 1,
    "allowance": None,
}  # that objects of before lack, and what they mean there


@dataclass(frozen=True, kw_only=True)
class Multipliers:
    """`prices` of constraints by name, in units of reward for a unit of usage; `made_from` is the (first, last) matured
    hour that they were moved by, by name ("2026-11-29T07"), empty before any. Version 0 is the first. `stopped` are the
    spends whose budget of the UTC `day` ("2026-11-29") is gone: their arms are not shown for the rest of it. `left` is
    what was left of that day's budgets by name, and `hosts` how many hosts share it. `allowance`: how far decisions may
    depart from a declared baseline; None where nothing has been counted yet.

    Raises ValueError for a version below 0, for a price that is negative or no number, and for less than one host."""

    version: int
    prices: Mapping[str, float]
    made_from: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    day: str = ""
    left: Mapping[str, float] = field(default_factory=dict)
    hosts: int = 1
    allowance: Allowance | None = None

    def __post_init__(self) -> None:
        if isinstance(self.version, bool) or not isinstance(self.version, int) or self.version < 0:
            raise ValueError(f"version: found {self.version!r}, expected a whole number of at least 0")
        for name, price in self.prices.items():
            if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < np.inf:
                raise ValueError(f"price of {name}: found {price!r}, expected a finite number of at least 0")
        if isinstance(self.hosts, bool) or not isinstance(self.hosts, int) or self.hosts < 1:
            raise ValueError(f"hosts: found {self.hosts!r}, expected a whole number of at least 1")
        if len(self.made_from) not in (0, 2) or not all(isinstance(hour, str) for hour in self.made_from):
            raise ValueError(f"made_from: found {self.made_from!r}, expected the first and the last hour, or nothing")

    def moved(self, prices: Mapping[str, float], made_from: tuple[str, str]) -> Self:
        """The next version, with these prices. Raises ValueError where they are of other constraints."""
        if set(prices) != set(self.prices):
            raise ValueError(f"prices: found {sorted(prices)}, expected those of {sorted(self.prices)}")
        return type(self)(version=self.version + 1, prices=dict(prices), made_from=made_from)

    def priced(self, scores: F64, usage: Mapping[str, F64]) -> F64:
        """scores − Σ λ·usage, of scores (…, B, K) and each constraint's usage: (K,), or (B, K) where requests differ.

        Raises ValueError for a constraint whose usage is missing, of another shape, or not finite."""
        if set(usage) != set(self.prices):
            raise ValueError(f"usage: found {sorted(usage)}, expected that of {sorted(self.prices)}")
        priced = scores.astype(np.float64)  # a copy
        for name in sorted(usage):  # an order, so that every host rounds alike
            shape, expected = usage[name].shape, (scores.shape[-1:], scores.shape[-2:])
            if shape not in expected:
                raise ValueError(f"usage of {name}: found shape {shape}, expected {expected[0]} or {expected[1]}")
            if not np.isfinite(usage[name]).all():
                raise ValueError(f"usage of {name}: found NaN or infinity, expected finite numbers")
            priced -= self.prices[name] * usage[name]
        return priced

    def to_json(self) -> str:
        """One line, keys sorted; numbers come back to the bit."""
        body = {name: getattr(self, name) for name in (*FIELDS, *ADDED)}
        body["allowance"] = self.allowance.to_body() if self.allowance else None
        return json.dumps(body, sort_keys=True, default=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote. Raises ValueError for anything else."""
        try:
            found: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"multipliers: found {text[:60]!r}, expected JSON ({error})") from error
        if isinstance(found, dict):
            found = ADDED | found
        if (
            not isinstance(found, dict)
            or sorted(found) != sorted((*FIELDS, *ADDED))
            or not isinstance(found["prices"], dict)
        ):
            raise ValueError(
                f"multipliers: found {text[:60]!r}, expected an object with {', '.join((*FIELDS, *ADDED))}"
            )
        if not isinstance(found["made_from"], list):
            raise ValueError(f"made_from: found {found['made_from']!r}, expected a list of hours")
        if not isinstance(found["stopped"], list) or not isinstance(found["day"], str):
            raise ValueError(f"stopped: found {found['stopped']!r} of {found['day']!r}, expected a list and a day")
        lists: dict[str, Any] = {name: tuple(found[name]) for name in ("made_from", "stopped")}
        if not isinstance(found["left"], dict) or not all(isinstance(x, int | float) for x in found["left"].values()):
            raise ValueError(f"left: found {found['left']!r}, expected an amount by name")
        rest = {name: found[name] for name in ("version", "prices", "day", "left", "hosts")}
        rest["allowance"] = None if found["allowance"] is None else Allowance.of_body(found["allowance"])
        return cls(**lists, **rest)
