"""What the rows of one step of time come to, added up some rows at a time.

Effective arms = exp(entropy of the pmf): K when uniform, 1 when greedy (Hill 1973, order 1).
"""

from collections import Counter
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any, Self

import polars as pl

from croupier.features.batch import F64
from croupier.features.encoding import inline_log
from croupier.features.encoding.encoder import Encoder
from croupier.features.quality import audit, rules, seen_values
from croupier.features.quality.seen_values import SeenValues

COLUMNS = (*rules.COLUMNS, *audit.COLUMNS)  # that a step is made of, beside those of features (seen_values.py)


@dataclass(frozen=True, slots=True)
class RewardMoments:
    """`n` rewards, their mean, and the sum of their squared distances from it."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, x: F64) -> Self:
        """From rewards (n,), n ≥ 1."""
        mean = float(x.mean())
        return cls(len(x), mean, float(((x - mean) ** 2).sum()))

    def __add__(self, other: Self) -> Self:
        """Returns the moments of the rewards of both (Chan, Golub & LeVeque 1983)."""
        n, apart = self.n + other.n, other.mean - self.mean
        if not self.n or not other.n:
            return other if not self.n else self
        squares = self.squares + other.squares + apart * apart * self.n * other.n / n
        return type(self)(n, self.mean + apart * other.n / n, squares)

    @property
    def mean_and_error(self) -> tuple[float, float] | None:
        """The mean and its standard error; None of fewer than two."""
        return (self.mean, sqrt(self.squares / (self.n - 1)) / sqrt(self.n)) if self.n > 1 else None


class TimeStep:
    """The sums of a step: its `rows`, the arms `offered`, decisions by arm shown (`arms`), `evidence` of the propensity
    audit, and `rewards` by (policy, role)."""

    def __init__(self, encoder: Encoder | None) -> None:
        self.rows = 0
        self.offered, self.arms = set[str](), Counter[str]()
        self.evidence, self.rewards = audit.Audit(), dict[tuple[Any, ...], RewardMoments]()
        self._encoder = encoder
        self._of_context = seen_values.of_columns(encoder.context) if encoder else []
        self._of_pairs = seen_values.of_columns(encoder.pair) if encoder else []
        self._sound = 0
        self._effective_arms = self._weights = self._most = 0.0
        self._least = inf

    def add(self, rows: pl.DataFrame) -> None:
        """Adds some more interactions (arrow.INTERACTIONS)."""
        self.rows += len(rows)
        self.offered |= set(inline_log.keyed(rows).explode(keep_nulls=False, empty_as_null=False).unique().to_list())
        self.arms.update(dict(rows["arm"].value_counts().iter_rows()))
        for key, some in rows.partition_by("policy", "role", as_dict=True, maintain_order=True).items():
            found = RewardMoments.of(some["reward"].to_numpy())
            self.rewards[key] = self.rewards.get(key, RewardMoments()) + found
        if self._encoder:
            seen_values.add_interactions(self._of_context, self._of_pairs, rows)
        self._explore(rows.filter(rules.sound(rules.row_facts(rows))))

    def _explore(self, sound: pl.DataFrame) -> None:
        if sound.is_empty():
            return
        self.evidence = audit.total([self.evidence, audit.evidence(sound)])
        p = pl.element()
        entropy = sound["pmf"].list.eval(pl.when(p > 0).then(-p * p.log()).otherwise(0.0)).list.sum()
        weight = 1.0 / sound["propensity"].to_numpy()
        self._sound += len(sound)
        self._effective_arms += float(entropy.exp().sum())
        self._weights += float(weight.sum())
        self._most = max(self._most, float(weight.max()))
        self._least = min(self._least, float(sound["propensity"].min()))  # type: ignore[arg-type]

    @property
    def seen(self) -> dict[str, list[SeenValues]]:
        """The values of features, by the scope of these: those of the context, and of pairs."""
        e = self._encoder
        return {e.context.scope: self._of_context, e.pair.scope: self._of_pairs} if e else {}

    @property
    def exploration(self) -> dict[str, float | None]:
        """Mean effective arms, the least propensity, and the largest weight's share of all weights, of sound rows."""
        if not self._sound:
            return {"effective_arms": None, "least_propensity": None, "weight_share": None}
        return {
            "effective_arms": self._effective_arms / self._sound,
            "least_propensity": self._least,
            "weight_share": self._most / self._weights,
        }
