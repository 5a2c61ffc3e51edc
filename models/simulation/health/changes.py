"""A segment's taste flips while a policy learns: is it located, and what do its trainings make of it?

Four segments choose among ARMS arms; `lin_ts` is trained anew every TRAINED hours on all rows of the app. Then, at a
random hour, one segment's likings are turned upside down. Health reads the hourly figures and notes the change, if it
is sure of it; the strategies differ in what the trainings from then on make of the older rows:

never            all rows count alike        always    a row counts half after HALF_LIFE hours, change or none
discount         as [health] on_change = "discount"      reset_head    as "reset_head"
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64, Batch, Catalogue, Interactions
from croupier.features.health import sketch
from croupier.features.spec_values import HealthSpec
from croupier.features.utc import HOUR, hour_name
from croupier.models.bayesian.threads import one_thread
from croupier.models.exploration import with_floor
from croupier.models.health import noted
from croupier.models.health.diagnosis import diagnose
from croupier.models.health.history import History
from croupier.models.health.noted import NotedChange
from croupier.models.health.season import DAY_HOURS, MOST_WEEKS, WEEK_HOURS
from croupier.models.policy import Policy, make

MARK = "changes"
STRATEGIES = ("never", "always", noted.DISCOUNT, noted.RESET)
ARMS, SHARES = 8, np.array([0.35, 0.3, 0.2, 0.15])  # of the segments
PER_HOUR, FLOOR, TRAINED, HALF_LIFE = 250, 0.2, 72, 24
HOURS = 28 * DAY_HOURS
FLIPS = (17 * DAY_HOURS, 21 * DAY_HOURS)  # between these hours
KNOWN = 2 * WEEK_HOURS + DAY_HOURS  # hours before what depends on the season is acted on
LOOK = 4  # hours between looks of health
LAST = 3 * DAY_HOURS  # whose value says whether it recovered
NEAR = 0.05  # of the horizon: a change is located
START = 1_790_000_000_000_000 // (7 * DAY_HOURS * HOUR) * (7 * DAY_HOURS * HOUR)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shop:
    """One seed's world: `means` (segments, ARMS), and in the hours from `flip` on, those of `segment` upside down."""

    seed: int
    means: F64
    flip: int
    segment: int

    @classmethod
    def of(cls, seed: int) -> "Shop":
        """Draws a world."""
        rng = np.random.default_rng([seed, 21])
        liked = 1 / (1 + np.exp(-(-2.4 + 0.8 * rng.standard_normal((len(SHARES), ARMS)))))
        return cls(
            seed=seed,
            means=liked,
            flip=int(rng.integers(*FLIPS)),
            segment=int(rng.integers(2)),
        )

    def at(self, t: int) -> F64:
        """Returns (segments, ARMS) what each arm earns in each segment in hour t, the course of the day left out."""
        if t < self.flip:
            return self.means
        now, mine = self.means.copy(), self.means[self.segment]
        order = np.argsort(mine)
        now[self.segment, order] = mine[order[::-1]]
        return now


@dataclass(kw_only=True, eq=False)
class ChangedShop:
    """A shop under one strategy, hour by hour; `seen` are its rows' segment, arm, reward, propensity, and hour."""

    shop: Shop
    strategy: str
    seen: list[tuple[I64, I64, F64, F64, I64]] = field(default_factory=list)
    figures: list[Mapping[str, Any]] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    noted: NotedChange | None = None
    releases: int = 0
    pmf: F64 = field(default_factory=lambda: np.full((len(SHARES), ARMS), 1 / ARMS))

    def play(self) -> "ChangedShop":
        """Plays all hours."""
        asked = self.strategy if self.strategy in {noted.DISCOUNT, noted.RESET} else noted.ALARM
        spec = HealthSpec.model_validate({"on_change": asked})
        for t in range(HOURS):
            if t and t % TRAINED == 0:
                self._train(t)
            self._hour(t)
            if asked != noted.ALARM and t >= KNOWN and t % LOOK == 0 and self.noted is None:
                history = History.of(self.figures[max(0, t + 1 - (MOST_WEEKS + 1) * WEEK_HOURS) :])
                symptoms = diagnose(history, false_alarms=spec.false_alarms).symptoms
                self.noted = noted.surest(spec, symptoms, now=START + (t + 1) * HOUR)
        return self

    def _hour(self, t: int) -> None:
        rng = np.random.default_rng([self.shop.seed, 22, t])
        n, now = int(rng.poisson(PER_HOUR)), self.shop.at(t)
        segment = rng.choice(len(SHARES), size=n, p=SHARES)
        arm = np.minimum((self.pmf[segment].cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), ARMS - 1)
        level = 1 + 0.2 * np.sin(t / DAY_HOURS * 2 * np.pi)
        reward = (rng.random(n) < now[segment, arm] * level).astype(np.float64)
        self.seen.append((segment, arm, reward, self.pmf[segment, arm], np.full(n, t)))
        self.figures.append(self._figures(t, segment, arm, reward))
        self.value.append(float(SHARES @ (self.pmf * now).sum(axis=1)) / float(SHARES @ now.max(axis=1)))

    def _figures(self, t: int, segment: I64, arm: I64, reward: F64) -> Mapping[str, Any]:
        n, p = float(len(reward)), self.pmf[segment]

        def sums(rows: Any) -> list[float]:
            return [float(rows.sum()), *[float(reward[rows].sum())] * 3]

        every, entropy = sums(reward >= 0), -(p * np.log(p)).sum() / np.log(ARMS)
        segments = {f"segment={k}": sums(segment == k) for k in range(len(SHARES))}
        arms = {f"a{k}": sums(arm == k) for k in range(ARMS)}
        cell = {f"segment={k}|a{a}": sums((segment == k) & (arm == a)) for k in range(len(SHARES)) for a in range(ARMS)}
        groups = {"all": {"": every}, "release": {str(self.releases): every}, "role": {"champion": every}, "arm": arms}
        offered = {f"a{k}": [n, float(p[:, k].sum())] for k in range(ARMS)}
        explore = {"n": n, "entropy": float(entropy), "greedy": 0, "floor": None, "inverse": n, "lift": [0.0] * 3}
        return {
            "hour": hour_name(START + t * HOUR), "account": {}, "hosts": {}, "features": {},
            "groups": groups | {"segment": segments, "cell": cell}, "explore": explore | {"arms": offered},
            "delay": {"log": sketch.moments(np.zeros(0))}, "unit": {"top": 3.0, "units": n, "squares": n},
        }  # fmt: skip

    def _train(self, t: int) -> None:
        """Trains on the rows of the hours before t, as the strategy counts them."""
        segment, arm, reward, propensity, hour = (np.concatenate(x) for x in zip(*self.seen, strict=True))
        weight = np.ones(len(hour))
        if self.strategy == "always":
            weight = 0.5 ** ((t - 1 - hour) / HALF_LIFE)
        elif self.noted is not None:
            weight = np.where(START + hour * HOUR < self.noted.since, self.noted.weight, 1.0)
        kept = weight > 1e-4
        log = _log(segment[kept], arm[kept], reward[kept], propensity[kept], hour=hour[kept], weight=weight[kept])
        with one_thread():
            learned = make("lin_ts", heads="per_arm").learn([log], seed=self.shop.seed)
        self.pmf, self.releases = _pmf(learned, log.batch.catalogue), self.releases + 1


def _batch(segment: I64, catalogue: Catalogue) -> Batch:
    n = len(segment)
    context = np.eye(len(SHARES), dtype=np.float32)[segment]
    arm, mask = np.tile(np.arange(ARMS), (n, 1)), np.ones((n, ARMS), bool)
    return Batch(context=context, arm=arm, mask=mask, pair=np.zeros((n, ARMS, 0), np.float32), catalogue=catalogue)


def _log(segment: I64, arm: I64, reward: F64, propensity: F64, *, hour: I64, weight: F64) -> Interactions:
    ids = tuple(f"a{k}" for k in range(ARMS))
    catalogue = Catalogue(ids=ids, features=np.eye(ARMS, dtype=np.float32), digest="simulated")
    pmf = np.full((len(arm), ARMS), 1 / ARMS)  # no learner of a head reads it
    return Interactions(
        batch=_batch(segment, catalogue),
        chosen=arm,
        reward=reward,
        propensity=propensity,
        pmf=pmf,
        at=START + hour * HOUR,
        unit=np.arange(len(arm), dtype=np.uint64),
        weight=weight,
    )


def _pmf(policy: Policy, catalogue: Catalogue) -> F64:
    """Returns (segments, ARMS) as it would be served."""
    batch = _batch(np.arange(len(SHARES)), catalogue)
    return np.asarray(with_floor(policy.pmf(batch), batch.mask, FLOOR))


def count(*, seeds: int, first: int, step: Callable[[int], None]) -> dict[str, Any]:
    """Returns {"located": share of runs whose change was noted within NEAR of the horizon, "named": where it was noted
    as a turn of that very segment, "noted": where one was noted after it, "false": before it; medians in hours;
    "before": strategy → mean share of the best policy's value in the week before the flip, "after": in the last
    hours of all}."""
    runs: dict[str, list[ChangedShop]] = {name: [] for name in STRATEGIES}
    for seed in range(first, first + seeds):
        for name in STRATEGIES:
            runs[name].append(ChangedShop(shop=Shop.of(seed), strategy=name).play())
            step(1)
    return _summed(runs) | {"seeds": seeds, "first_seed": first, "horizon_hours": HOURS}


def _summed(runs: Mapping[str, Sequence[ChangedShop]]) -> dict[str, Any]:
    every = runs[noted.DISCOUNT]
    times = [
        ((r.noted.since - START) // HOUR - r.shop.flip, (r.noted.noted - START) // HOUR - r.shop.flip)
        for r in every
        if r.noted
    ]
    after_it = [(off, delay) for off, delay in times if delay > 0]
    return {
        "noted": len(after_it) / len(every),
        "false": (len(times) - len(after_it)) / len(every),
        "located": sum(abs(off) <= NEAR * HOURS for off, _ in after_it) / len(every),
        "named": sum(_named(r) for r in every) / len(every),
        "median_error_hours": median(abs(off) for off, _ in after_it) if after_it else None,
        "median_delay_hours": median(delay for _, delay in after_it) if after_it else None,
        "before": {
            name: _mean(of, lambda r: slice(r.shop.flip - WEEK_HOURS, r.shop.flip)) for name, of in runs.items()
        },
        "after": {name: _mean(of, lambda _: slice(HOURS - LAST, HOURS)) for name, of in runs.items()},
    }


def _named(run: ChangedShop) -> bool:
    """True if what was noted is the change that there was."""
    found = run.noted
    return found is not None and found.cause == "taste_flip" and f"segment {run.shop.segment} " in found.says


def _mean(runs: Sequence[ChangedShop], part: Callable[[ChangedShop], slice]) -> float:
    return float(np.mean([np.mean(run.value[part(run)]) for run in runs]))


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the counts as a table."""
    runs, days = found["seeds"], found["horizon_hours"] // DAY_HOURS
    error, delay = (
        "–" if found[name] is None else f"{found[name]:g} h" for name in ("median_error_hours", "median_delay_hours")
    )
    head = (
        f"{runs} run{'s' * (runs > 1)} of {days} days: noted in {found['noted']:.0%} after {delay} (median), located "
        f"within ±{NEAR:.0%} of the horizon in {found['located']:.0%} of all runs (median error {error}), the segment "
        f"named in {found['named']:.0%}, noted before there was a change in {found['false']:.0%}.\n"
    )
    lines = [
        "| share of the best policy's value | the week before the flip | the last three days |",
        "|---|---|---|",
        *(f"| {name} | {found['before'][name]:.1%} | {found['after'][name]:.1%} |" for name in STRATEGIES),
    ]
    return "\n".join([head, *lines]) + "\n"
