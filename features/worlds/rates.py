"""A world of known truth: a hotel that asks one of fifteen rates, and guests who book or do not.

The probability of a booking falls with the rate, along a curve that depends on the guest:

    P(book | trip, lead, p) = .6 · σ((m(trip) + .4 (30 − lead) / 30 · w(trip) − p) / s(trip)) · (1 − .15 · 1[p ≥ 100])

trip is business, leisure or group; lead the days until arrival; m what half of the guests would pay, w how much more
they pay at the last minute, s how unlike they are. From 100 on it drops at once, as prices of three digits do. A stay
costs the hotel 25. What a rate earns is (p − 25) · P: for business another rate is best than for leisure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from croupier.features.arrow import INTERACTIONS
from croupier.features.batch import F64
from croupier.features.ids import hash_unit
from croupier.features.schema import CHAMPION, Arm, Decision, Reward
from croupier.features.utc import HOUR_SECONDS, SECOND
from croupier.features.worlds.reels import START

RATES = tuple(range(60, 201, 10))
COST = 25.0  # of a stay
TRIPS = ("business", "group", "leisure")
PAYS = {"business": 150.0, "group": 105.0, "leisure": 88.0}  # m
HURRY = {"business": 60.0, "group": 0.0, "leisure": -30.0}  # w: business pays more at the last minute, leisure less
SPREAD = {"business": 14.0, "group": 6.0, "leisure": 11.0}  # s
REACH, DROP, DIGITS = 0.6, 0.15, 100

APP_TOML = """\
# A hotel's rates (features/worlds/rates.py).
[reward]
window_seconds = {window_seconds}
range = [0.0, 175.0]
[reward.kinds.booked]
sold = true

[context.trip]
type = "categorical"
[context.lead]
type = "numeric"

[arm.rate]
type = "numeric"

[pricing]
price = "arm.rate"
cost = 25.0

[policies]
candidates = ["demand_ts"]
floor = 0.02
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Hotel:
    """`seed` moves what each kind of trip pays, by up to ten, so that no rate is best in all hotels."""

    seed: int = 0

    def app_toml(self, *, window_seconds: float = HOUR_SECONDS) -> str:
        """Returns an app.toml for this world."""
        return APP_TOML.format(window_seconds=float(window_seconds))

    def arms(self) -> list[Arm]:
        """Returns the rates as arms."""
        return [Arm(arm_id=f"rate-{rate}", features={"rate": rate}) for rate in RATES]

    @cached_property
    def _pays(self) -> dict[str, float]:
        moved = np.random.default_rng([self.seed, 1]).uniform(-10, 10, len(TRIPS))
        return {trip: PAYS[trip] + float(by) for trip, by in zip(TRIPS, moved, strict=True)}

    def guests(self, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Returns the contexts of n guests: a third of each trip; lead of 0 to 60 days."""
        trips, leads = rng.integers(len(TRIPS), size=n), rng.integers(61, size=n)
        return [{"trip": TRIPS[trip], "lead": float(lead)} for trip, lead in zip(trips, leads, strict=True)]

    def demand(self, contexts: Sequence[Mapping[str, Any]]) -> F64:
        """(n, rates): the true probability of a booking at each rate."""
        rate, trips = np.array(RATES, np.float64), [c["trip"] for c in contexts]
        hurry = 0.4 * (30 - np.array([c["lead"] for c in contexts])) / 30
        middle = np.array([self._pays[t] for t in trips]) + hurry * np.array([HURRY[t] for t in trips])
        spread = np.array([SPREAD[t] for t in trips])
        curve = REACH / (1 + np.exp((rate - middle[:, None]) / spread[:, None]))
        return np.asarray(curve * np.where(rate >= DIGITS, 1 - DROP, 1.0))

    def profit(self, contexts: Sequence[Mapping[str, Any]]) -> F64:
        """(n, rates): what each rate truly earns, in the mean."""
        return self.demand(contexts) * (np.array(RATES) - COST)

    def log(
        self, n: int, *, seed: int = 0, start: int = START, gap: int = SECOND
    ) -> tuple[list[Decision], list[Reward]]:
        """Returns n decisions of the uniform policy, one each `gap` µs, and a reward for every booking, a second
        later."""
        rng = np.random.default_rng([self.seed, 4, seed])
        contexts, ids = self.guests(n, rng), tuple(arm.arm_id for arm in self.arms())
        shown = rng.integers(len(ids), size=n)
        booked = rng.random(n) < self.demand(contexts)[np.arange(n), shown]
        decisions, rewards = [], []
        for i, (context, j, books) in enumerate(zip(contexts, shown.tolist(), booked.tolist(), strict=True)):
            event, at, share = f"rates-{self.seed}-{seed}-{i:08d}", start + i * gap, 1.0 / len(ids)
            decisions.append(
                Decision(
                    event_id=event,
                    at=at,
                    unit_id=hash_unit("rates", f"guest-{i}"),
                    context=context,
                    arms=ids,
                    pmf=(share,) * len(ids),
                    arm=ids[j],
                    propensity=share,
                    policy="uniform",
                    role=CHAMPION,
                    release=0,
                    margin=f"{RATES[j] - COST}",
                )
            )
            if books:
                rewards.append(Reward(event_id=event, at=at + SECOND, kind="booked", value=1.0))
        return decisions, rewards

    def interactions(self, n: int, *, seed: int = 0) -> pl.DataFrame:
        """`log` joined at once (arrow.INTERACTIONS): rewards are profits, in money."""
        decisions, rewards = self.log(n, seed=seed)
        booked = {r.event_id: r.at for r in rewards}
        rows = []
        for d in decisions:
            at = booked.get(d.event_id)
            reward = {"reward": 0.0 if at is None else float(d.margin), "reward_count": int(at is not None)}
            rows.append(d.to_row() | reward | {"reward_at": at})
        found = pl.from_arrow(pa.Table.from_pylist(rows, schema=INTERACTIONS))
        assert isinstance(found, pl.DataFrame)
        return found
