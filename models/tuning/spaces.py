"""What is tried: the portfolio of `auto`, and for each policy the space that its parameters are drawn from.

Rates are drawn evenly on a logarithmic scale, the others evenly from what stands here. The first configuration of a
space is the policy's default, so that tuning never ends below it but by chance.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.models.tuning.configuration import Configuration


@dataclass(frozen=True)
class OneOf:
    """One of these values, each as likely."""

    values: tuple[Any, ...]

    def drawn(self, rng: np.random.Generator) -> Any:
        """Returns a value."""
        return self.values[int(rng.integers(len(self.values)))]


@dataclass(frozen=True)
class Rate:
    """A number between these, evenly on a logarithmic scale, in three digits."""

    low: float
    high: float

    def drawn(self, rng: np.random.Generator) -> float:
        """Returns a number."""
        return in_three_digits(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))


def in_three_digits(value: float) -> float:
    """Returns a number as it is declared in app.toml."""
    return float(f"{value:.3g}")


PORTFOLIO = (
    Configuration("vw_cb_adf", {"preset": "squarecb"}),
    Configuration("vw_cb_adf", {"preset": "squarecb", "learning_rate": 0.5}),
    Configuration("vw_cb_adf", {"preset": "squarecb_cautious"}),
    Configuration("lin_ts", {"heads": "shared"}),
    Configuration("lin_ts", {"heads": "per_arm"}),
    Configuration("lin_ts", {"heads": "hybrid"}),
    Configuration("lin_ucb", {"heads": "shared"}),
    Configuration("lin_ucb", {"heads": "per_arm"}),
    Configuration("neural_linear", {"heads": "shared"}),
    Configuration("neural_linear", {"heads": "per_arm", "prior": "binary"}),
    Configuration("bootstrap", {"base": "lin_ts", "members": 4}),
)


SPACES: dict[str, dict[str, OneOf | Rate]] = {
    "vw_cb_adf": {
        "preset": OneOf(("squarecb", "squarecb_cautious", "greedy")),
        "learning_rate": Rate(0.05, 10.0),
        "passes": OneOf((1, 2, 4)),
        "ignore_linear": OneOf(("", "U", "A", "UA")),
    },
    "lin_ts": {
        "heads": OneOf(("shared", "per_arm", "hybrid")),
        "cross": OneOf(("outer", "none")),
        "prior": OneOf(("default", "binary", "multi_valued")),
    },
    "lin_ucb": {
        "heads": OneOf(("shared", "per_arm", "hybrid")),
        "cross": OneOf(("outer", "none")),
        "prior": OneOf(("default", "binary", "multi_valued")),
        "alpha": Rate(0.03, 3.0),
    },
    "neural_linear": {
        "heads": OneOf(("shared", "per_arm")),
        "hidden": OneOf(([20], [50], [100], [50, 50])),
        "prior": OneOf(("default", "binary", "multi_valued")),
        "learning_rate": Rate(3e-4, 3e-2),
        "weight_decay": OneOf((0.0, 1e-4, 1e-2)),
        "epochs": OneOf((10, 30)),
    },
}


def drawn(policy: str, count: int, *, seed: int) -> list[Configuration]:
    """Returns at most `count` different configurations, the default first. Raises ValueError where the policy has no
    space here."""
    if policy not in SPACES:
        raise ValueError(f"policy: found {policy!r}, expected one of auto, {', '.join(SPACES)}")
    rng, space = np.random.default_rng([seed, 21]), SPACES[policy]
    every = (Configuration(policy, {name: each.drawn(rng) for name, each in space.items()}) for _ in range(20 * count))
    return distinct([Configuration(policy), *every])[:count]


def distinct(configurations: Iterable[Configuration]) -> list[Configuration]:
    """Returns these configurations in their order, without those that came before."""
    return list({each.key: each for each in configurations}.values())


def of_auto(count: int, allowed: Iterable[str], *, seed: int) -> list[Configuration]:
    """Returns the portfolio as far as the app may have it, and further draws from each policy's space in turn, up to
    `count` in all. Raises ValueError where the app may have none of it."""
    names = set(allowed)
    whole = [each for each in PORTFOLIO if each.policy in names]
    if not whole:
        raise ValueError(
            f"auto: found that app.toml allows only {', '.join(sorted(names)) or 'no policy'}, expected one of "
            f"{', '.join(sorted({each.policy for each in PORTFOLIO}))}; name the candidates yourself"
        )
    rest = [drawn(name, count, seed=seed)[1:] for name in SPACES if name in names]
    turns = [each for turn in zip(*rest, strict=False) for each in turn] if rest else []
    return distinct([*whole, *turns])[:count]
