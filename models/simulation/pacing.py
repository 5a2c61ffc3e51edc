"""Do prices that are moved each hour keep a day's budget and long-run floors, and what does that cost?

Fifty days of a shop (pacing_world.py) with a look an hour. The price of the day's spend is solved anew at each look,
from what was spent and asked by then (models/constraints/day_price.py). The prices of floor and parity are moved by
what has matured, one hour late, and one hour in fifty six hours late (models/constraints/pacing.py). Beside it stand
greedy throttling, which spends until the day's budget is gone, and the best fixed multipliers in hindsight, with the
budget of all days together, so that they may spend more where there is more to gain. Rewards are true means of what was
drawn.

`croupier simulate pacing --json pacing.json --page models/constraints/README.md` counts and shows it there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64
from croupier.models.constraints.day_price import DayLook, allowed, price_of
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.constraints.pacing import HOURS, Controller, DayPlan
from croupier.models.simulation.pacing_policy import (
    CONSTRAINTS,
    FLOOR,
    MOST,
    TOLERANCE,
    best_fixed,
    limits,
    of_fixed,
    pmf,
    usage,
)
from croupier.models.simulation.pacing_world import CATEGORY, COSTS, REQUESTS, PacedShop

DAYS, BUDGET = 50, 1_800.0  # a day's
MATURES, LATE, LATE_SHARE = 1, 6, 0.02  # hours until an hour is known; of a late one; share of late ones
JUDGED_AFTER, WITHIN = 50_000, 0.01  # decisions; of floors and parity
SAMPLE = 400  # of the latest requests, on which a price is solved
PARTS = {"spend": ("spend",), "floor": ("floor",), "parity": ("parity_more", "parity_less")}
SAID = {
    "spend": f"spend at most {BUDGET:,.0f} a day",
    "floor": f"category 1 in at least {FLOOR:.0%} of impressions",
    "parity": f"category 2 in both groups alike, within {100 * TOLERANCE:.0f} points",
}
MARK = "pacing"
LONG_RUN = Controller(step=0.01, most=MOST, largest_move=0.01)


@dataclass(eq=False)
class PacedRun:
    """What a run has done: `arms` (T,) of its decisions, `spent` and `price` (days · 24,) of its hours, `multipliers`
    in force; `known_at` (days · 24,) is the hour from which on each hour is known."""

    shop: PacedShop
    pacing: bool
    known_at: I64
    arms: I64
    spent: F64
    price: F64
    multipliers: Multipliers

    @classmethod
    def begun(cls, shop: PacedShop, known_at: I64, *, pacing: bool) -> "PacedRun":
        """A run of no decision yet; prices are 0."""
        free = Multipliers(version=0, prices=dict.fromkeys(CONSTRAINTS, 0.0))
        hours = len(known_at)
        return cls(shop, pacing, known_at, np.zeros(len(shop.scores), np.int64), np.zeros(hours), np.zeros(hours), free)

    def look(self, day: int, hour: int) -> DayLook:
        """What is known of a day at the beginning of its `hour`: all that was asked and spent by then."""
        now, requests = day * HOURS + hour, np.full(2 * HOURS, np.nan)
        recent = np.diff(self.shop.first)[max(now - HOURS - hour, 0) : now]
        requests[HOURS + hour - len(recent) : HOURS + hour] = recent
        return DayLook(requests=requests, spent=float(self.spent[day * HOURS : now].sum()), hour=float(hour))

    def spends(self, now: int) -> Callable[[float], tuple[float, float]]:
        """The mean spend of the latest requests before the hour `now`, and its mean square, by the price; other prices
        are as they are."""
        rows = slice(max(self.shop.first[now] - SAMPLE, 0), self.shop.first[now])
        scores, used, prices = self.shop.scores[rows], usage(self.shop.group[rows]), dict(self.multipliers.prices)

        def spend(price: float) -> tuple[float, float]:
            drawn_from = pmf(scores, used, Multipliers(version=0, prices=prices | {"spend": price}))
            return float((drawn_from @ COSTS).mean()), float((drawn_from @ COSTS**2).mean())

        return spend

    def plan(self, day: int) -> DayPlan:
        """The day's plan, of the seven days that end a day before: yesterday's last hours are not known yet."""
        past = np.concatenate([self.shop.history, np.diff(self.shop.first).reshape(-1, HOURS)])
        return DayPlan.of_days(BUDGET, list(past[day : day + 7]))

    def move(self, plan: DayPlan, day: int, hour: int) -> None:
        """Moves the long-run prices by each hour that has become known just now, and solves that of the spend anew."""
        now, prices = day * HOURS + hour, dict(self.multipliers.prices)
        for known in np.flatnonzero(self.known_at == now).tolist():
            for name, over in self.long_run_excess(known).items():
                prices[name] = LONG_RUN.move(prices[name], over)
        made_from = (f"hour {now - 1}", f"hour {now - 1}")
        self.multipliers = self.multipliers.moved(prices, made_from=made_from)
        if self.pacing and now:
            spends = self.spends(now)
            rate = allowed(plan, self.look(day, hour), square=spends(prices["spend"])[1])
            prices["spend"] = price_of(rate, lambda price: spends(price)[0], most=MOST)
            self.multipliers = self.multipliers.moved(prices, made_from=made_from)

    def long_run_excess(self, hour: int) -> dict[str, float]:
        """Usage above the limits, summed over an hour's decisions, of each long-run constraint; 1 is that of all
        decisions of a mean hour."""
        rows = slice(self.shop.first[hour], self.shop.first[hour + 1])
        arms, limit = self.arms[rows], limits(0.0)
        used = {name: np.broadcast_to(u, (len(arms), len(COSTS))) for name, u in usage(self.shop.group[rows]).items()}
        at = np.arange(len(arms))
        return {
            name: float((used[name][at, arms] - limit[name]).sum()) / (REQUESTS / HOURS)
            for name in CONSTRAINTS
            if name != "spend"
        }

    def decide(self, hour: int, left: float, rng: np.random.Generator) -> None:
        """Draws an hour's arms. The decision that would spend more than is `left` of the day, and all after it, get the
        free arm for certain: a hard limit beside the price, which throttling consists of."""
        rows = slice(self.shop.first[hour], self.shop.first[hour + 1])
        drawn_from = pmf(self.shop.scores[rows], usage(self.shop.group[rows]), self.multipliers)
        drawn = np.argmax(drawn_from.cumsum(axis=1) > rng.random(len(drawn_from))[:, None] * (1 - 1e-12), axis=1)
        arms = np.where(np.cumsum(COSTS[drawn]) > left, 0, drawn)
        self.arms[rows], self.spent[hour] = arms, COSTS[arms].sum()
        self.price[hour] = self.multipliers.prices["spend"]


def run(shop: PacedShop, rng: np.random.Generator, *, pacing: bool) -> PacedRun:
    """All days of a shop, with a price of spend that is moved, or, without `pacing`, with one of 0: greedy
    throttling."""
    hours = shop.days * HOURS
    late = np.where(rng.random(hours) < LATE_SHARE, LATE, MATURES)
    done = PacedRun.begun(shop, np.arange(hours) + 1 + late, pacing=pacing)
    for day in range(shop.days):
        plan = done.plan(day)
        for hour in range(HOURS):
            done.move(plan, day, hour)
            left = BUDGET - done.spent[day * HOURS : day * HOURS + hour].sum()
            done.decide(day * HOURS + hour, left, rng)
    return done


def simulate(seed: int, *, days: int = DAYS) -> dict[str, Any]:
    """One shop's figures: of the paced run, of throttling, and what each constraint costs."""
    shop = PacedShop.drawn(days, np.random.default_rng([seed, 0]))
    limit = limits(BUDGET * days / len(shop.scores))
    best = best_fixed(shop.scores, shop.group, limit)
    reward, _ = of_fixed(shop.scores, shop.means, shop.group, best)
    paced, throttled = (run(shop, np.random.default_rng([seed, 1]), pacing=pacing) for pacing in (True, False))
    free = {}
    for name, parts in PARTS.items():
        rest = {each: most for each, most in limit.items() if each not in parts}
        without = best_fixed(shop.scores, shop.group, rest, start=best.prices)
        free[name] = of_fixed(shop.scores, shop.means, shop.group, without)[0] / reward - 1
    return {
        "seed": seed,
        "decisions": len(shop.scores),
        "best_fixed_reward": reward,
        "paced": outcome(paced, reward),
        "throttled": outcome(throttled, reward),
        "shadow_price": {name: sum(best.prices[part] for part in parts) for name, parts in PARTS.items()},
        "lift_without": free,
    }


def outcome(done: PacedRun, best_reward: float) -> dict[str, float]:
    """What a run kept and earned; floors and parity are of its decisions from JUDGED_AFTER on, or of all where there
    are fewer."""
    shop, every = done.shop, np.arange(len(done.arms))
    spent = done.spent.reshape(-1, HOURS).sum(axis=1)
    late = every[JUDGED_AFTER:] if len(every) > JUDGED_AFTER else every
    kind, group = CATEGORY[done.arms[late]], shop.group[late]
    floor, gap = float((kind == 1).mean()), abs(float((kind[group == 1] == 2).mean() - (kind[group == 0] == 2).mean()))
    return {
        "spend_error": float(abs(spent - BUDGET).mean() / BUDGET),
        "largest_spend_error": float(abs(spent - BUDGET).max() / BUDGET),
        "reward_share": float(shop.means[every, done.arms].mean() / best_reward),
        "floor_share": floor,
        "parity_gap": gap,
        "met": float(floor >= FLOOR - WITHIN and gap <= TOLERANCE + WITHIN),
        "mean_price": float(done.price.mean()),
    }


def count(
    *, seeds: int, first: int = 0, days: int = DAYS, step: Callable[[int], object] = lambda _: None
) -> dict[str, Any]:
    """The figures of `seeds` shops and their means. `step` is called with 1 after each."""
    rows = []
    for seed in range(first, first + seeds):
        rows.append(simulate(seed, days=days))
        step(1)
    means = {name: {key: _mean(rows, name, key) for key in rows[0][name]} for name in ("paced", "throttled")}
    prices = {name: {key: _mean(rows, name, key) for key in PARTS} for name in ("shadow_price", "lift_without")}
    return {
        "spend_error": means["paced"]["spend_error"],
        "worst_day_spend_error": max(row["paced"]["largest_spend_error"] for row in rows),
        "reward_share_of_best_multiplier": means["paced"]["reward_share"],
        "floors_met": means["paced"]["met"],
        "throttled": means["throttled"],
        "paced": means["paced"],
        **prices,
        "seeds": seeds,
        "days": days,
        "rows": rows,
    }


def _mean(rows: list[dict[str, Any]], name: str, key: str) -> float:
    """The mean over shops of one figure."""
    return float(np.mean([row[name][key] for row in rows]))


def markdown(found: dict[str, Any]) -> str:
    """The two tables: what was kept and earned, and what each constraint costs."""
    lines = [
        f"{found['seeds']} shops, {found['days']} days each, a budget of {BUDGET:,.0f} a day:",
        "",
        "| | spend error a day, mean | largest | reward, of the best fixed multipliers' | floor and parity met |",
        "|---|---|---|---|---|",
    ]
    for name, said in (("prices with a look an hour", "paced"), ("greedy throttling", "throttled")):
        of = found[said]
        worst = max(row[said]["largest_spend_error"] for row in found["rows"])
        lines.append(f"| {name} | {of['spend_error']:.2%} | {worst:.1%} | {of['reward_share']:.3f} | {of['met']:.0%} |")
    lines += ["", "| constraint | shadow price (sales a unit) | lift without it |", "|---|---|---|"]
    for name, said in SAID.items():
        lines.append(f"| {said} | {found['shadow_price'][name]:.4f} | {found['lift_without'][name]:+.1%} |")
    return "\n".join(lines) + "\n"
