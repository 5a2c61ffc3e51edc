"""Hours of a reels app as columns, quickly made: with days, weekends, hosts, delays, and what can go wrong.

Visitors are those of the reels world (reels.py), some far more active than others. A policy that has learnt something
(a softmax of the true log-odds over a floor) serves them, and sees the features as they are sent, broken ones too; the
clicks come of the true ones. `Trouble` says what is wrong in an hour.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from croupier.features.batch import F64, I64
from croupier.features.ids import hash_unit
from croupier.features.schema import CHAMPION
from croupier.features.utc import DAY, HOUR, HOUR_SECONDS, SECOND
from croupier.features.worlds.hours import Trouble, WorldHour
from croupier.features.worlds.reels import COUNTRIES, DEVICES, START, World

HOSTS = ("host-a", "host-b", "host-c")
WINDOW = HOUR_SECONDS
EVERY = 72  # hours, after which the worlds whose arms change have another one
LIVE = 6  # arms at a time, where arms go for good
FLOOR = 0.05
BOT = {"country": "AT", "device": "phone", "age": 30.0, "session_depth": 1.0}


@dataclass(frozen=True, kw_only=True, eq=False)
class ReelsHours:
    """An app of `world`. `churn`: every three days an arm goes and another comes, as news do, of those that were there
    before; with `fresh`, for good, and a new one comes."""

    world: World = field(default_factory=lambda: World(n_arms=10, population=3000, candidates=(5, 10)))
    per_day: int = 12_000
    seed: int = 0
    churn: bool = False
    fresh: bool = False
    start: int = START // (7 * DAY) * (7 * DAY)

    def app_toml(self) -> str:
        """Returns what the app declares."""
        return self.world.app_toml()

    @cached_property
    def activity(self) -> F64:
        """Returns (population,) each user's share of the visits: gamma, so that a tenth makes a third of them."""
        weight = np.random.default_rng([self.seed, 11]).gamma(0.7, size=self.world.population)
        return np.asarray(weight / weight.sum())

    def hour(self, t: int, trouble: Trouble | None = None) -> WorldHour:
        """The t-th hour; the same (seed, t) and trouble, the same hour."""
        wrong = trouble or Trouble()
        rng = np.random.default_rng([self.seed, 12, t])
        at, weekend = self.start + t * HOUR, (t // 24 + 3) % 7 >= 5
        busy = 1 + 0.6 * np.sin((t % 24 - 9) / 24 * 2 * np.pi)
        n = int(rng.poisson(self.per_day / 24 * busy * (0.65 if weekend else 1.14)))
        n = max(n, 1)
        mood = 0.25 * np.cos((t % 24 - 20) / 24 * 2 * np.pi) + 0.25 * weekend
        made = self._visits(n, t, rng)
        mask = self._offered(n, t, rng)
        user = made["user"]
        genre = np.arange(self.world.n_arms) % 5
        affinity = np.round(np.tanh(self.world.tastes[user][:, genre] + rng.normal(0, 0.5, mask.shape)), 3)
        true = self._odds(made, affinity)
        flipped = _is(made, wrong.flipped)
        sign = np.where(flipped, -1.0, 1.0)[:, None] if flipped.any() else 1.0
        sent = _sent(made, wrong)
        pmf = self._pmf(self._odds(sent, affinity), mask, wrong.sharper)
        bots = rng.random(n) < wrong.bot
        j = _draw(pmf, rng.random(n))
        chance = 1 / (1 + np.exp(-(self.world.base + mood + sign * true)))
        clicked = (rng.random(n) < chance[np.arange(n), j] * self._fading(wrong, j, t)) & ~bots
        clicked &= rng.random(n) >= wrong.lost
        clicked &= j != self._index(wrong.feed_arm)
        return self._kept(
            at=at,
            rng=rng,
            sent=sent,
            mask=mask,
            pmf=pmf,
            j=j,
            clicked=clicked,
            affinity=affinity,
            bots=bots,
            wrong=wrong,
        )

    def _visits(self, n: int, t: int, rng: np.random.Generator) -> dict[str, Any]:
        user = rng.choice(self.world.population, size=n, p=self.activity)
        people = self.world.people
        return {
            "user": user, "country": people["country"][user], "device": people["device"][user],
            "age": people["age"][user].astype(np.float64), "hour": np.full(n, float(t % 24)),
            "session_depth": rng.geometric(0.2, n).astype(np.float64),
        }  # fmt: skip

    def _offered(self, n: int, t: int, rng: np.random.Generator) -> Any:
        """Returns (n, A) which arms a visit offers."""
        A = self.world.n_arms
        live = np.ones(A, bool)
        if self.churn:
            live = (np.arange(A) + t // EVERY) % A < A * 2 // 3
        if self.fresh:
            live = (np.arange(A) - t // EVERY) % A < LIVE
        low, high = (min(k, int(live.sum())) for k in self.world.candidates)
        rank = np.argsort(np.argsort(np.where(live, rng.random((n, A)), 2.0), axis=1), axis=1)
        return rank < rng.integers(low, high + 1, n)[:, None]

    def _odds(self, seen: dict[str, Any], affinity: F64) -> F64:
        """Returns (n, A) log-odds of a click above the world's base."""
        n, A = affinity.shape
        columns = {
            "country": np.array(COUNTRIES)[seen["country"] % len(COUNTRIES)][:, None],
            "device": np.array(DEVICES)[seen["device"] % len(DEVICES)][:, None],
            "age": seen["age"][:, None], "hour": seen["hour"][:, None],
        }  # fmt: skip
        return self.world.odds(columns, np.broadcast_to(np.arange(A), (n, A)), affinity)

    def _pmf(self, odds: F64, mask: Any, sharper: float) -> F64:
        score = np.where(mask, 0.8 * sharper * odds, -np.inf)
        soft = np.exp(score - score.max(axis=1, keepdims=True))
        soft /= soft.sum(axis=1, keepdims=True)
        return np.asarray((1 - FLOOR) * soft + FLOOR * mask / mask.sum(axis=1, keepdims=True))

    def _fading(self, wrong: Trouble, j: I64, t: int) -> F64:
        arm, rate = wrong.fading
        return np.where(j == self._index(arm), np.exp(-rate * max(t - wrong.since, 0)), 1.0)

    def _index(self, arm: str) -> int:
        names = [a.arm_id for a in self.world.arms()]
        return names.index(arm) if arm in names else -1

    def _kept(
        self,
        *,
        at: int,
        rng: np.random.Generator,
        sent: dict[str, Any],
        mask: Any,
        pmf: F64,
        j: I64,
        clicked: Any,
        affinity: F64,
        bots: Any,
        wrong: Trouble,
    ) -> WorldHour:
        n = len(j)
        true_at = at + np.sort(rng.integers(0, HOUR, n))
        host = rng.integers(len(HOSTS), size=n)
        seconds = np.exp(rng.normal(np.log(60.0), 1.0, n)) * wrong.slower
        name, ahead = wrong.skewed
        skew = np.where(np.array(HOSTS)[host] == name, ahead, 0.0)
        stamped = true_at + (skew * SECOND).astype(np.int64)
        late = clicked & (seconds - skew > WINDOW)
        on_time = clicked & ~late
        ids = _ids(true_at // 1000, rng)
        arms = np.array([a.arm_id for a in self.world.arms()])
        frame = pl.DataFrame({
            "event_id": ids, "at": stamped, "unit_id": self._units(sent["user"], bots),
            "context": _contexts(sent, bots),
            "arms": _lists(np.broadcast_to(arms, mask.shape)[mask], mask), "pmf": _lists(pmf[mask], mask),
            "arm": arms[j], "propensity": pmf[np.arange(n), j], "policy": np.full(n, "learnt"),
            "role": np.full(n, CHAMPION), "release": np.full(n, 3), "arm_context": _pairs(affinity, mask),
            "reward": on_time.astype(np.float64), "reward_count": on_time.astype(np.int64),
            "reward_at": np.where(on_time, true_at + (seconds * SECOND).astype(np.int64), 0),
        })  # fmt: skip
        logged = pl.DataFrame({"event_id": ids, "host": np.array(HOSTS)[host]})
        counts = {"decisions_in": n, "interactions": n, "rewards_in": int(clicked.sum()), "late": int(late.sum()),
                  "on_time": int(on_time.sum()), "orphan": 0}  # fmt: skip
        return WorldHour(interactions=frame, logged=logged, account=counts)

    @cached_property
    def _names(self) -> Any:
        return np.array([hash_unit("reels", f"user-{k}") for k in range(self.world.population)] + ["bot" * 10])

    def _units(self, user: I64, bots: Any) -> Any:
        return self._names[np.where(bots, self.world.population, user)]


def _is(made: dict[str, Any], segment: tuple[str, str]) -> Any:
    """Returns (n,) whether a visit is of a segment."""
    feature, value = segment
    names = {"country": COUNTRIES, "device": DEVICES}.get(feature)
    return made[feature] == names.index(value) if names else np.zeros(len(made["user"]), bool)


def _sent(made: dict[str, Any], wrong: Trouble) -> dict[str, Any]:
    """Returns the features as the app sends them."""
    sent = dict(made) | {"renamed": wrong.renamed}
    if wrong.frozen:
        sent[wrong.frozen] = np.full_like(made[wrong.frozen], made[wrong.frozen][0])
    if wrong.scaled[0]:
        sent[wrong.scaled[0]] = made[wrong.scaled[0]] * wrong.scaled[1]
    a, b = wrong.swapped
    return sent | ({a: made[b], b: made[a]} if a else {})


def _draw(pmf: F64, u: F64) -> I64:
    """Returns (n,) the arm at which the cumulative pmf passes u."""
    below = pmf.cumsum(axis=1) < u[:, None] * pmf.sum(axis=1, keepdims=True)
    return np.asarray(np.minimum(below.sum(axis=1), pmf.shape[1] - 1))


def _contexts(sent: dict[str, Any], bots: Any) -> pl.Series:
    feature, old, new = sent["renamed"]
    text = {
        "country": np.array(COUNTRIES)[sent["country"]].astype(object),
        "device": np.array(DEVICES)[sent["device"]].astype(object),
    }
    if feature:
        text[feature] = np.where(text[feature] == old, new, text[feature])
    columns: dict[str, Any] = {"age": sent["age"], "hour": sent["hour"], "session_depth": sent["session_depth"], **text}
    if bots.any():
        columns |= {name: np.where(bots, np.array(value), columns[name]) for name, value in BOT.items()}
    frame = pl.DataFrame({k: v.astype(str) if v.dtype == object else v for k, v in sorted(columns.items())})
    return frame.select(pl.struct(pl.all()).struct.json_encode().alias("context"))["context"]


def _lists(flat: Any, mask: Any) -> pl.Series:
    offsets = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int32)
    values = pa.array(flat)
    if isinstance(values, pa.ChunkedArray):  # of very many texts
        values = values.combine_chunks()
    return pl.Series(pa.ListArray.from_arrays(pa.array(offsets), values))


def _pairs(affinity: F64, mask: Any) -> pl.Series:
    """The arm_context of each visit, as JSON."""
    texts = pl.DataFrame({"x": affinity[mask]}).select(pl.concat_str(pl.lit('{"affinity":'), "x", pl.lit("}")))
    lists = pl.DataFrame({"pairs": _lists(texts.to_series().to_numpy(), mask)})
    joined = pl.concat_str(pl.lit("["), pl.col("pairs").list.join(","), pl.lit("]"))
    return lists.select(joined.alias("arm_context"))["arm_context"]


def _ids(ms: I64, rng: np.random.Generator) -> list[str]:
    """UUIDv7s of these times, as clients with right clocks make them."""
    texts, out = [f"{m:012x}" for m in ms.tolist()], []
    for text, r in zip(texts, rng.integers(0, 2**60, len(ms)).tolist(), strict=True):
        out.append(f"{text[:8]}-{text[8:]}-7{r & 0xFFF:03x}-8{r >> 12 & 0xFFF:03x}-{r >> 24 & 0xFFFFFFFFFFFF:012x}")
    return out
