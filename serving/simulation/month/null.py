"""Months in which nothing is better, and months in which a family is: how often the scheme of retraining errs.

A log of a uniform champion, with a daily season and units that return, each with a taste of its own; each day one
family is retrained and judged by `models.gate.evaluation.evaluate`, the gate's own entry. Three schemes are held
beside each other on the same logs:

    prequential   the family by its models through time (models/ope/prequential.py), by all rows and by the latest ones
                  (models/recent.py): croupier's
    ledger        each day's models are a new hypothesis, the k-th at α · 6 / (π² k²) (models/gate/alpha_spending.py)
    calendar      each day's model on the next day's rows alone, at α / days

What was promoted climbs by the controller's own rules, on whole days (serving/simulation/season/).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64, I64, Batch, Catalogue, Interactions, concatenate
from croupier.features.spec import GateSpec, RolloutSpec, TrainingSpec
from croupier.features.utc import DAY
from croupier.models import recent
from croupier.models.gate.alpha_spending import Ledger
from croupier.models.gate.evaluation import Asked, any_better, evaluate
from croupier.models.gate.reports import Evaluation
from croupier.models.ope.prequential import Piecewise
from croupier.models.policy import InlineArms, Policy, make
from croupier.serving.simulation.season.run import simulate
from croupier.serving.simulation.season.world import HOURS, DayWorld

ARMS, KINDS, CLICKS = 5, 5, 0.10
LEVEL = 0.5  # clicks are so much more likely at the peak of the day, relatively, and so much less at its low
SCHEMES = ("prequential", "ledger", "calendar")
LIFT = 0.107  # of the arm that suits: a family that finds it 95 % of the time is then worth +10.0 %
BETTER_DAYS = 14


@dataclass(kw_only=True, eq=False)
class TablePolicy:
    """A policy that knows a context's kind alone: `weights` (KINDS, ARMS) are its pmf."""

    weights: F64
    name: str = "table"
    inline_arms: InlineArms = "refused"

    def pmf(self, batch: Batch) -> F64:
        """(B, ARMS), in the order of each row's candidates."""
        kind = batch.context.argmax(axis=1)
        return np.asarray(self.weights[kind[:, None], batch.arm], dtype=np.float64)

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:
        """Thompson sampling of each kind's click rates: Beta(1 + clicks, 1 + others), 200 draws as votes."""
        clicks, shown = np.zeros((2, KINDS, ARMS))
        for chunk in log:
            kind, arm = chunk.batch.context.argmax(axis=1), chunk.shown[0]
            np.add.at(shown, (kind, arm), 1.0)
            np.add.at(clicks, (kind, arm), chunk.reward)
        rng = np.random.default_rng(seed)
        best = rng.beta(1 + clicks, 1 + shown - clicks, size=(200, KINDS, ARMS)).argmax(axis=2)
        return replace(self, weights=np.stack([(best == a).mean(axis=0) for a in range(ARMS)], axis=1))

    def save(self, folder: Path) -> None:
        """Writes the table into a file."""
        np.save(folder / "weights.npy", self.weights)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads the table from a file."""
        return cls(weights=np.load(folder / "weights.npy"))


CATALOGUE = Catalogue(
    ids=tuple(f"arm-{i}" for i in range(ARMS)), features=np.eye(ARMS, dtype=np.float32), digest="month"
)


@dataclass(frozen=True, kw_only=True)
class NullTraffic:
    """`per_day` decisions of `units` units, of whom some come more often and some click more; rates differ by the hour.

    lift: what the arm that suits a context's kind is worth more, relatively; 0: all arms are worth the same.
    tastes: σ of the logarithm of what each arm is worth to each unit. Over all visits every arm is worth the same all
    the same, so that no policy that knows the context alone gains anything by them."""

    per_day: int
    lift: float = 0.0
    units: int = 2000
    tastes: float = 0.5

    def day(self, number: int, seed: int) -> Interactions:
        """The log of a day, drawn uniformly."""
        rng, n = np.random.default_rng([seed, number]), self.per_day
        person = np.random.default_rng([seed, 10**6])
        often = person.lognormal(0.0, 0.5, self.units)
        unit = rng.choice(self.units, size=n, p=often / often.sum())
        rate = np.clip(person.lognormal(-0.08, 0.4, self.units), 0.2, 3.0)
        taste = self._tastes(person, often * rate)
        at = np.sort(rng.integers(0, DAY, n))
        season = 1.0 + LEVEL * np.sin(2 * np.pi * at / DAY)
        kind, chosen = rng.integers(KINDS, size=n), rng.integers(ARMS, size=n)
        worth = np.where(chosen == kind, 1.0 + self.lift, 1.0 - self.lift / (ARMS - 1))
        batch = Batch(
            context=np.eye(KINDS, dtype=np.float32)[kind],
            arm=np.tile(np.arange(ARMS), (n, 1)),
            mask=np.ones((n, ARMS), bool),
            pair=np.zeros((n, ARMS, 0), np.float32),
            catalogue=CATALOGUE,
        )
        return Interactions(
            batch=batch,
            chosen=chosen,
            pmf=np.full((n, ARMS), 1 / ARMS),
            propensity=np.full(n, 1 / ARMS),
            reward=(rng.random(n) < np.minimum(CLICKS * rate[unit] * taste[unit, chosen] * season * worth, 1.0)).astype(
                np.float64
            ),
            at=number * DAY + at,
            unit=unit.astype(np.uint64) + np.uint64(1),
            weight=np.ones(n),
        )

    def _tastes(self, person: np.random.Generator, weight: F64) -> F64:
        """(units, ARMS), whose mean over units by `weight` (units,) is 1 in every column."""
        taste = np.clip(person.lognormal(0.0, self.tastes, (self.units, ARMS)), 0.4, 2.0)
        return np.asarray(taste / (weight @ taste / weight.sum()))


@dataclass(frozen=True, kw_only=True)
class Month:
    """By scheme: the day on which the family was promoted (0: never), and the day on which it served all (0: never)."""

    promoted: dict[str, int]
    reached: dict[str, int]


Work = tuple[NullTraffic, int, int, tuple[str, ...]]  # traffic, days, seed, schemes


def month(traffic: NullTraffic, *, days: int, seed: int, schemes: tuple[str, ...] = SCHEMES) -> Month:
    """Plays one month; a scheme that has promoted is judged no further."""
    log: list[Interactions] = []
    models: list[TablePolicy] = []
    promoted = dict.fromkeys(schemes, 0)
    ledger = Ledger(family="uniform", alpha=GateSpec().alpha)
    for day in range(days):
        log.append(traffic.day(day, seed))
        for scheme in [s for s in schemes if not promoted[s]]:
            good, ledger = _judged(scheme, log, models, ledger, days=days, seed=seed, known=traffic.lift > 0)
            promoted[scheme] = (day + 1) * good
        if all(promoted.values()):
            break
        models.append(_known(seed, day) if traffic.lift else _learnt(log, seed, day))
    reached = {s: _reached(traffic, day, days, seed) for s, day in promoted.items()}
    return Month(promoted=promoted, reached=reached)


def _learnt(log: list[Interactions], seed: int, day: int) -> TablePolicy:
    return TablePolicy(weights=np.zeros((KINDS, ARMS))).learn(log, seed=seed * 1000 + day)


def _known(seed: int, day: int) -> TablePolicy:
    """A family that is better by 95 % of `Traffic.lift`. Each retraining is another member of it: what it does beside
    the right arm changes, what it is worth does not."""
    rng = np.random.default_rng([seed, day, 7])
    rest = rng.dirichlet(np.ones(ARMS - 1), size=KINDS) * 0.05
    weights = np.full((KINDS, ARMS), 0.95)
    for kind in range(KINDS):
        weights[kind, [a for a in range(ARMS) if a != kind]] = rest[kind]
    return TablePolicy(weights=weights)


def _judged(
    scheme: str,
    log: list[Interactions],
    models: list[TablePolicy],
    ledger: Ledger,
    *,
    days: int,
    seed: int,
    known: bool,
) -> tuple[bool, Ledger]:
    """Whether the scheme promotes at the end of the last day of `log`; `models[i]` learnt days 0 to i. `known`: models
    whose worth is given, whatever they learn."""
    if not models:
        return False, ledger
    alpha = GateSpec().alpha
    if scheme == "prequential":
        table = Piecewise("table", [(DAY * (i + 1), _always(model)) for i, model in enumerate(models)])
        asked = recent.stretches(DAY, DAY * len(log), TrainingSpec().days)
        return _lately(table, concatenate(log[1:]), asked, alpha), ledger
    if scheme == "calendar":
        return _evaluated(models[-1], log[-1], alpha / days).promoted == "table", ledger
    whole = concatenate(log)
    split = round(0.6 * len(whole))
    name = [f"model-{len(models)}"]
    share = ledger.next_alpha(name, int(whole.at[split]))
    rows = np.arange(len(whole))
    earlier, later = whole[rows < split], whole[rows >= split]
    model = models[-1] if known else _learnt([earlier], seed, len(models))
    kept = ledger.record(at=int(later.at[-1]), candidates=name, start=int(later.at[0]), rows=len(later), decisions={})
    return _evaluated(model, later, share).promoted == "table", kept


def _always(model: TablePolicy) -> Callable[[], Policy]:
    return lambda: model


def _lately(table: Piecewise, log: Interactions, asked: list[recent.Stretch], alpha: float) -> bool:
    def better(rows: Interactions, share: float) -> bool:
        return any_better(log=rows, alpha=alpha * share, **_gate(table))

    return recent.judged(log, asked, lambda r, share: _evaluated(table, r, alpha * share), better).promoted == "table"


def _gate(policy: Policy | Piecewise) -> dict[str, Any]:
    policies = {"uniform": make("uniform"), "table": policy}
    return {"policies": policies, "champion": "uniform", "floor": 0.02, "gate": GateSpec()}


def _evaluated(policy: Policy | Piecewise, log: Interactions, alpha: float) -> Evaluation:
    return evaluate(log=log, alpha=alpha, asked=Asked(often=True), **_gate(policy))


def _reached(traffic: NullTraffic, promoted: int, days: int, seed: int) -> int:
    """The day on which the rollout that begins after day `promoted` reaches everybody; 0 if it does not. Its stages are
    decided on whole days, of the same traffic."""
    if not promoted or promoted == days:
        return 0
    effect = 0.95 * traffic.lift - 0.05 * traffic.lift / (ARMS - 1)
    world = DayWorld(per_day=traffic.per_day, effect=effect, level=LEVEL, mean=CLICKS)
    done = simulate(world, RolloutSpec(), runs=1, days=days - promoted, seed=seed)
    return int(promoted + np.ceil(done.reached[0] / HOURS)) if done.reached[0] else 0


def table(
    *,
    months: int,
    days: int = 30,
    per_day: int = 2000,
    better: int = 0,
    better_per_day: int = 30_000,
    seed: int = 0,
    schemes: tuple[str, ...] = SCHEMES,
    jobs: int = 1,
    progress: Callable[[int], object] = int,
) -> dict[str, Any]:
    """Shares of null months that promoted anything, and of months with a +10 % better family that serve it in time;
    `jobs` processes share the months, which are the same for every number of them."""
    null, lifted = NullTraffic(per_day=per_day), NullTraffic(per_day=better_per_day, lift=LIFT)
    asked = [(null, days, seed + i, schemes) for i in range(months)] + [
        (lifted, BETTER_DAYS, seed + i, schemes) for i in range(better)
    ]
    found = _all(asked, jobs, progress)
    good = found[months:]
    return {
        "months": months,
        "days": days,
        "per_day": per_day,
        "better_months": better,
        "better_per_day": better_per_day,
        "promoted": _share([m.promoted[schemes[0]] > 0 for m in found[:months]]),
        "schemes": {s: _row([m.promoted[s] for m in found[:months]], good, s) for s in schemes},
    }


def _all(asked: list[Work], jobs: int, progress: Callable[[int], object]) -> list[Month]:
    found = []
    with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
        for one in pool.map(_month, asked) if jobs > 1 else map(_month, asked):
            found.append(one)
            progress(1)
    return found


def _month(asked: Work) -> Month:
    traffic, days, seed, schemes = asked
    return month(traffic, days=days, seed=seed, schemes=schemes)


def _row(null: list[int], good: list[Month], scheme: str) -> dict[str, Any]:
    days: I64 = np.array([m.promoted[scheme] for m in good], np.int64)
    reached = [m.reached[scheme] for m in good]
    return {
        "promoted": _share([day > 0 for day in null]),
        "better_promoted": _share([bool(d) for d in days]),
        "better_promoted_median_day": float(np.median(days[days > 0])) if (days > 0).any() else None,
        "better_serves_by_day_14": _share([0 < day <= 14 for day in reached]),
        "better_serves_median_day": float(np.median([d for d in reached if d])) if any(reached) else None,
    }


def _share(hits: list[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None
