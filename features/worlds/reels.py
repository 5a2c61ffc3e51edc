"""A world of known truth: users who watch reels, with non-linear click probabilities, so that every policy's true
value can be computed.

A user has a country, a device, an age, and a hidden taste; a visit offers 5 to 12 of the reels. The click's log-odds
are bilinear where VW can see it (country × genre), curved where a network earns its keep (an age bump for each genre,
long reels late at night on a phone), and depend on the pair (`affinity`). The hidden taste is not in the log: it
shows only through `affinity`, so no policy reaches certainty.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import polars as pl

from croupier.features.arrow import INTERACTIONS
from croupier.features.batch import F64
from croupier.features.ids import hash_unit
from croupier.features.schema import CHAMPION, Arm, Decision, Reward
from croupier.features.utc import HOUR_SECONDS, SECOND

GENRES = ("comedy", "sports", "music", "cooking", "news")
COUNTRIES = ("AT", "BR", "IN", "JP", "US", "ZA")
DEVICES = ("phone", "tablet", "tv")
START = 1_790_000_000_000_000  # UTC µs of the first logged visit: a day in September 2026

APP_TOML = """\
# Reels: which short video to show first. A world of known truth (features/worlds/reels.py).
[reward]
window_seconds = {window_seconds}
default = 0.0
range = [0.0, 1.0]
[reward.kinds.click]
how = "first"

[context.country]
type = "categorical"
[context.device]
type = "categorical"
[context.age]
type = "numeric"
[context.hour]
type = "numeric"
[context.session_depth]
type = "numeric"
transform = "log"

[arm.genre]
type = "categorical"
[arm.seconds]
type = "numeric"
transform = "log"
[arm.quality]
type = "numeric"

[arm_context.affinity]
type = "numeric"

[policies]
candidates = ["vw_cb_adf", "neural_linear"]
floor = 0.02
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of one unit: what a client would send."""

    unit_id: str
    context: dict[str, Any]
    arms: tuple[str, ...]
    arm_context: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """`effect` scales how much preferences matter (0: every policy is worth the same); `population` is the number of
    units; `flipped()` is the same world with preferences reversed, for non-stationarity."""

    seed: int = 0
    n_arms: int = 20
    effect: float = 1.0
    base: float = -2.6
    population: int = 5000
    candidates: tuple[int, int] = (5, 12)
    sign: float = 1.0

    def flipped(self) -> Self:
        """Returns the world in which users like what they dislike here."""
        return replace(self, sign=-self.sign)

    def app_toml(self, *, window_seconds: float = HOUR_SECONDS) -> str:
        """Returns an app.toml for this world."""
        return APP_TOML.format(window_seconds=float(window_seconds))

    @cached_property
    def _catalogue(self) -> list[Arm]:
        rng = np.random.default_rng([self.seed, 1])
        return [
            Arm(
                arm_id=f"reel-{i:02d}",
                features={
                    "genre": GENRES[i % len(GENRES)],
                    "seconds": round(float(rng.lognormal(3.2, 0.6)), 1),
                    "quality": round(float(rng.uniform(-1, 1)), 3),
                },
            )
            for i in range(self.n_arms)
        ]

    @cached_property
    def people(self) -> dict[str, Any]:
        """Returns the population: countries, devices, ages, hidden tastes (n, genres)."""
        rng = np.random.default_rng([self.seed, 2])
        n = self.population
        return {
            "country": rng.integers(len(COUNTRIES), size=n),
            "device": rng.choice(3, size=n, p=[0.6, 0.2, 0.2]),
            "age": np.clip(rng.normal(38, 14, n), 13, 85).round(),
            "taste": rng.normal(size=(n, len(GENRES))),
        }

    @property
    def tastes(self) -> F64:
        """Returns (population, genres) the hidden tastes, which no log has."""
        return np.asarray(self.people["taste"])

    @cached_property
    def _truth(self) -> dict[str, F64]:
        """Country × genre likings in {−1, 0, 1}, and the age at which each genre peaks."""
        rng = np.random.default_rng([self.seed, 3])
        liking = np.array([rng.permutation([1.0, 1.0, -1.0, -1.0, 0.0]) for _ in COUNTRIES])
        return {"liking": liking, "peak": rng.permutation(np.array([18.0, 28.0, 40.0, 52.0, 64.0]))}

    def arms(self) -> list[Arm]:
        """Returns the catalogue's arms."""
        return list(self._catalogue)

    def users(self, n: int, rng: np.random.Generator) -> list[Visit]:
        """Returns n visits of units drawn from the population."""
        ids = np.array([a.arm_id for a in self._catalogue])
        genre = np.array([GENRES.index(a.features["genre"]) for a in self._catalogue])
        low, high = (min(k, self.n_arms) for k in self.candidates)
        visits = []
        for user in rng.integers(self.population, size=n):
            chosen = rng.permutation(self.n_arms)[: rng.integers(low, high + 1)]
            affinity = np.tanh(self.people["taste"][user, genre[chosen]] + rng.normal(0, 0.5, len(chosen)))
            context = {
                "country": COUNTRIES[self.people["country"][user]], "device": DEVICES[self.people["device"][user]],
                "age": float(self.people["age"][user]), "hour": float(rng.integers(24)),
                "session_depth": float(rng.geometric(0.2)),
            }  # fmt: skip
            visits.append(
                Visit(
                    unit_id=f"user-{user}",
                    context=context,
                    arms=tuple(ids[chosen].tolist()),
                    arm_context=tuple({"affinity": round(float(x), 3)} for x in affinity),
                )
            )
        return visits

    def click_probability(
        self,
        contexts: Sequence[Mapping[str, Any]],
        arms: Sequence[Sequence[str]],
        arm_contexts: Sequence[Sequence[Mapping[str, Any]]],
    ) -> F64:
        """Returns (B, K) true probabilities, K the longest candidate list, 0 on padding."""
        mask = np.arange(max(map(len, arms), default=0)) < np.array([len(a) for a in arms])[:, None]
        row = {a.arm_id: i for i, a in enumerate(self._catalogue)}
        index, affinity = np.zeros(mask.shape, np.int64), np.zeros(mask.shape)
        index[mask] = [row[arm] for ids in arms for arm in ids]
        affinity[mask] = [pair["affinity"] for pairs in arm_contexts for pair in pairs]
        seen = {k: np.array([c[k] for c in contexts])[:, None] for k in ("country", "device", "age", "hour")}
        p = 1.0 / (1.0 + np.exp(-(self.base + self.effect * self.sign * self.odds(seen, index, affinity))))
        return np.where(mask, p, 0.0)

    def odds(self, seen: dict[str, Any], index: Any, affinity: F64) -> F64:
        """Returns the log-odds of a click above `base`; all (B, K), or broadcast to it."""
        genre = np.array([GENRES.index(a.features["genre"]) for a in self._catalogue])[index]
        seconds, quality = (np.array([a.features[k] for a in self._catalogue])[index] for k in ("seconds", "quality"))
        country = np.searchsorted(COUNTRIES, seen["country"])
        bump = np.exp(-(((seen["age"] - self._truth["peak"][genre]) / 12.0) ** 2))
        late = (seen["hour"] >= 21) | (seen["hour"] < 5)
        binge = np.where(late & (seen["device"] == "phone"), 1.0, -0.5) * np.tanh((seconds - 25.0) / 10.0)
        liking = self._truth["liking"][country, genre]
        odds: F64 = 0.9 * liking + 1.5 * (bump - 0.3) + 0.5 * binge + 0.9 * affinity * np.abs(affinity) + 0.4 * quality
        return odds

    def true_value(self, pmf: Callable[[Sequence[Visit]], F64], n: int = 20_000, *, seed: int = 7) -> float:
        """Exact mean click probability of a policy on a fixed sample of n visits: Σ_a pmf·p, averaged. `pmf` maps
        visits to (n, K), 0 on padding."""
        visits = self.users(n, np.random.default_rng([self.seed, seed]))
        return float((pmf(visits) * self.truth(visits)).sum(axis=1).mean())

    def truth(self, visits: Sequence[Visit]) -> F64:
        """Returns the `click_probability` of visits."""
        columns = ([v.context for v in visits], [v.arms for v in visits], [v.arm_context for v in visits])
        return self.click_probability(*columns)

    def log(
        self, n: int, *, seed: int = 0, start: int = START, gap: int = SECOND
    ) -> tuple[
        list[Decision],
        list[Reward],
    ]:
        """Returns n decisions of the uniform policy, one each `gap` µs, and a reward for every click, a second
        later."""
        rng = np.random.default_rng([self.seed, 4, seed])
        visits = self.users(n, rng)
        truth = self.truth(visits)
        decisions, rewards = [], []
        for i, visit in enumerate(visits):
            K = len(visit.arms)
            j, at = int(rng.integers(K)), start + i * gap
            event = f"reels-{self.seed}-{seed}-{i:08d}"
            decisions.append(
                Decision(
                    event_id=event,
                    at=at,
                    unit_id=hash_unit("reels", visit.unit_id),
                    context=visit.context,
                    arms=visit.arms,
                    pmf=(1.0 / K,) * K,
                    arm=visit.arms[j],
                    propensity=1.0 / K,
                    policy="uniform",
                    role=CHAMPION,
                    release=0,
                    arm_context=visit.arm_context,
                )
            )
            if rng.random() < truth[i, j]:
                rewards.append(Reward(event_id=event, at=at + SECOND, kind="click", value=1.0))
        return decisions, rewards

    def interactions(self, n: int, *, seed: int = 0) -> pl.DataFrame:
        """`log` joined at once: arrow.INTERACTIONS, for tests and examples that need no spool."""
        decisions, rewards = self.log(n, seed=seed)
        clicked = {r.event_id: r for r in rewards}
        rows = []
        for d in decisions:
            r = clicked.get(d.event_id)
            rows.append(
                d.to_row()
                | {
                    "reward": r.value if r else 0.0,
                    "reward_count": int(r is not None),
                    "reward_at": r.at if r else None,
                }
            )
        return pl.DataFrame(rows, schema=list(INTERACTIONS.names)) if not rows else pl.from_arrow(_arrow(rows))  # type: ignore[return-value]


def uniform_pmf(visits: Sequence[Visit]) -> F64:
    """Returns (n, K): 1/K over each visit's own candidates."""
    lengths = np.array([len(v.arms) for v in visits])[:, None]
    return np.where(np.arange(lengths.max()) < lengths, 1.0 / lengths, 0.0)


def _arrow(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=INTERACTIONS)
