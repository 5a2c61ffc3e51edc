"""One step of time of a log's health, added up some rows at a time."""

from collections import Counter
from math import sqrt

import polars as pl

from croupier.features.encoding import inline_log
from croupier.features.encoding.encoder import Encoder
from croupier.features.quality import audit, rules
from croupier.features.quality.seen_values import SeenInteractions


class Moments:
    """The mean and the spread of numbers, by Welford's update for parts (Chan, Golub & LeVeque 1983)."""

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, x: pl.Series) -> None:
        """Adds some more numbers."""
        values = x.to_numpy()
        n, mean = len(values), float(values.mean())
        off, total = mean - self.mean, self.n + n
        self.squares += float(((values - mean) ** 2).sum()) + off * off * self.n * n / total
        self.n, self.mean = total, self.mean + off * n / total

    @property
    def mean_and_error(self) -> tuple[float, float] | None:
        """The mean and its standard error; None of fewer than two numbers."""
        return (self.mean, sqrt(self.squares / (self.n - 1) / self.n)) if self.n > 1 else None


class HealthBin:
    """`decisions`, the arms `offered` and shown (`arms`), `evidence` of the propensity audit, `rewards` by policy and
    role, values of `features`."""

    def __init__(self, encoder: Encoder | None) -> None:
        self.decisions, self.offered, self.arms = 0, set[str](), Counter[str]()
        self.evidence, self.rewards = audit.Audit(), dict[str, Moments]()
        self.features = None if encoder is None else SeenInteractions(encoder)
        self._sound, self._effective, self._least = 0, 0.0, float("inf")
        self._weight, self._largest = 0.0, 0.0

    def add(self, rows: pl.DataFrame) -> None:
        """Adds interactions, at least one."""
        self.decisions += len(rows)
        self.offered |= set(inline_log.keyed(rows).explode(keep_nulls=False, empty_as_null=False).unique().to_list())
        self.arms.update(dict(rows["arm"].drop_nulls().value_counts().iter_rows()))
        sound = rows.filter(rules.sound(rules.row_facts(rows)))
        self.evidence = audit.total([self.evidence, audit.evidence(sound)])
        if len(sound):
            self._explored(sound)
        for (policy, role), of in rows.partition_by("policy", "role", as_dict=True, maintain_order=True).items():
            self.rewards.setdefault(f"{policy} ({role})", Moments()).add(of["reward"])
        if self.features is not None:
            self.features.add(rows)

    def _explored(self, sound: pl.DataFrame) -> None:
        p = pl.element()
        entropy = sound["pmf"].list.eval(pl.when(p > 0).then(-p * p.log()).otherwise(0.0)).list.sum()
        weight = 1.0 / sound["propensity"].to_numpy()
        self._sound += len(sound)
        self._effective += float(entropy.exp().sum())
        self._least = min(self._least, float(sound["propensity"].min()))  # type: ignore[arg-type]
        self._weight, self._largest = self._weight + float(weight.sum()), max(self._largest, float(weight.max()))

    def exploration(self) -> dict[str, float | None]:
        """Returns how much its sound rows explore; None where it has none."""
        if not self._sound:
            return {"effective_arms": None, "least_propensity": None, "weight_share": None}
        return {
            "effective_arms": self._effective / self._sound,
            "least_propensity": self._least,
            "weight_share": self._largest / self._weight,
        }
