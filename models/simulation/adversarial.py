"""Null logs made to deceive a gate: everything a few draws can hide, with a lift of exactly zero.

Contexts are of a few kinds; each (kind, arm) has one event with its probability, worth `value` on top of the arm's
`base`, with some noise. The log need not be the champion's. `croupier simulate gate --adversarial` counts how often
each is promoted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import betaincinv

from croupier.features.batch import F64, I64
from croupier.features.spec import GateSpec
from croupier.models.gate.bounds.steadied import extremes, powers
from croupier.models.gate.gate import PROMOTE, judge
from croupier.models.gate.informative import UNASKED
from croupier.models.ope.estimators import Rounds
from croupier.models.simulation import marked
from croupier.models.simulation.gate_simulation import DrawnLog

SHRINK = 5.0  # rows that a cell of the reward model is worth before it saw one


@dataclass(frozen=True, kw_only=True, eq=False)
class Trap:
    """kinds (C,) their probabilities; events, log, champion, candidate (C, K): the events' probabilities and the pmfs.
    `rows` at `looks` looks, each with `alpha` of the whole sequence."""

    name: str
    kinds: F64
    events: F64
    log: F64
    champion: F64
    candidate: F64
    value: float = 1.0
    base: F64 | float = 0.0
    noise: float = 0.0
    rows: int = 20_000
    looks: int = 10
    alpha: float = 0.05

    @property
    def declared(self) -> tuple[float, float]:
        """What app.toml would say of a reward."""
        low, high = np.min(self.base) - self.noise, np.max(self.base) + self.noise
        return float(low + min(self.value, 0.0)), float(high + max(self.value, 0.0))

    @property
    def lift(self) -> float:
        """The candidate's true value less the champion's."""
        means = self.base + self.value * self.events
        return float(self.kinds @ ((self.candidate - self.champion) * means).sum(axis=1))


def traps() -> list[Trap]:
    """The cells that deceived the gate before it asked for informative draws, and their like."""
    champion, candidate = _apart(5)
    both = {"kinds": np.ones(1), "champion": champion, "candidate": candidate}
    rare = [_rare_contexts(share) for share in (0.003, 0.01, 0.03)]
    return [*_clicks(both), *rare, *_complaints(both), *_wins_and_losses(both)]


def _clicks(both: dict[str, Any]) -> Iterator[Trap]:
    """Few clicks, alike for every arm, in a log of the candidate's or of the champion's like."""
    for clicks in (0.01, 0.02, 0.05):
        made = both | {"events": np.full((1, 5), clicks)}
        like, own = _explored(both["candidate"], 0.1), _explored(both["champion"], 0.1)
        yield Trap(name=f"log of the candidate's like, clicks {clicks:.0%}", log=like, **made)
        yield Trap(name=f"the same, clicks {clicks:.0%}, one look", log=like, rows=5000, looks=1, **made)
        yield Trap(name=f"log of the champion, clicks {clicks:.0%}", log=own, **made)


def _complaints(both: dict[str, Any]) -> Iterator[Trap]:
    """Rare losses, alike for every arm; and a success that all but always comes."""
    for rate in (0.002, 0.01):
        for whose in ("champion", "candidate"):
            name = f"complaints of −1 at {rate:.1%}, log of the {whose}"
            log = _explored(both[whose], 0.1)
            yield Trap(name=name, events=np.full((1, 5), rate), value=-1.0, log=log, **both)
    log, flat = _explored(both["champion"], 0.1), np.full((1, 5), 0.01)
    yield Trap(name="success of 99 %, log of the champion", events=flat, value=-1.0, base=1.0, log=log, **both)


def _wins_and_losses(both: dict[str, Any]) -> Iterator[Trap]:
    """Events of 50 times a usual reward, in a uniform log: alike for every arm, or of one policy's arm alone."""
    even = np.full((1, 5), 0.2)
    for rate in (0.0005, 0.002):
        flat, name = np.full((1, 5), rate), f"of 50 at {rate:.2%}, uniform log"
        yield Trap(name=f"a loss {name}", events=flat, value=-50.0, base=1.0, log=even, **both)
        yield Trap(name=f"a win {name}", events=flat, value=50.0, log=even, **both)
        for whose, arm, value in (("candidate: a loss", 1, -50.0), ("champion: a win", 0, 50.0)):
            alone = np.zeros((1, 5))
            alone[0, arm] = rate  # what the event takes or gives on average, `base` makes up for
            name, base = f"{whose} of 50 at {rate:.2%}, else a little better", -value * alone
            yield Trap(name=name, events=alone, value=value, base=base, noise=0.05, log=even, **both)


def _apart(arms: int) -> tuple[F64, F64]:
    """(1, arms) each: champion and candidate, each with an arm of its own, floor .02."""
    pmfs = np.full((2, 1, arms), 0.02 / arms)
    pmfs[0, 0, 0] += 0.98
    pmfs[1, 0, 1] += 0.98
    return pmfs[0], pmfs[1]


def _explored(pmf: F64, share: float) -> F64:
    return np.asarray((1 - share) * pmf + share / pmf.shape[1])


def _rare_contexts(share: float) -> Trap:
    """The policies differ on a share of the contexts, where rewards are many; elsewhere they are few."""
    champion, candidate = (np.repeat(pmf, 2, axis=0) for pmf in _apart(10))
    candidate[0] = champion[0]
    return Trap(
        name=f"policies differ on {share:.1%} of contexts",
        kinds=np.array([1 - share, share]),
        events=np.repeat([[0.01], [0.5]], 10, axis=1),
        champion=champion,
        candidate=candidate,
        log=_explored(champion, 0.1),
    )


def draw(trap: Trap, rng: np.random.Generator) -> DrawnLog:
    """One log, with a reward model that learnt another."""
    kind, chosen, reward = _rows(trap, rng)
    learnt = reward_model(trap, rng)
    p = trap.log[kind, chosen]
    sides = [
        Rounds(
            reward=reward,
            propensity=p,
            target=pmf[kind, chosen],
            predicted=learnt[kind, chosen],
            direct=(pmf * learnt).sum(axis=1)[kind],
            thinning=np.ones(len(kind)),
        )
        for pmf in (trap.candidate, trap.champion)
    ]
    pmfs = trap.log, trap.candidate, trap.champion
    tests = np.column_stack([1.0 / (trap.log.shape[1] * p) - 1.0])
    return DrawnLog(
        candidate=sides[0],
        champion=sides[1],
        tests=tests,
        divergence=powers(*pmfs)[kind],
        reach=extremes(*pmfs)[kind],
        unsupported=0.0,
        declared=trap.declared,
    )


def _rows(trap: Trap, rng: np.random.Generator) -> tuple[I64, I64, F64]:
    kind = rng.choice(len(trap.kinds), size=trap.rows, p=trap.kinds)
    chosen = (rng.random((trap.rows, 1)) > trap.log[kind].cumsum(axis=1)[:, :-1]).sum(axis=1)
    base = np.broadcast_to(trap.base, trap.events.shape)[kind, chosen]
    event = rng.random(trap.rows) < trap.events[kind, chosen]
    return kind, chosen, base + trap.value * event + trap.noise * rng.uniform(-1, 1, trap.rows)


def reward_model(trap: Trap, rng: np.random.Generator) -> F64:
    """(C, K) means of the cells of a log drawn for it, shrunk towards the mean of all its rows."""
    kind, chosen, reward = _rows(trap, rng)
    total, count = np.zeros(trap.events.shape), np.zeros(trap.events.shape)
    np.add.at(total, (kind, chosen), reward)
    np.add.at(count, (kind, chosen), 1.0)
    return np.asarray((total + SHRINK * reward.mean()) / (count + SHRINK))


def promoted(trap: Trap, log: DrawnLog, *, asks: bool) -> bool:
    """Whether the gate promotes at any look; `asks`: with its conditions on informative draws."""
    spec = GateSpec(alpha=trap.alpha)
    for n in (trap.rows * k // trap.looks for k in range(1, trap.looks + 1)):
        evidence = log.evidence(n)
        seen = evidence if asks else replace(evidence, informative=UNASKED, unseen=None)
        if judge(seen, spec).decision == PROMOTE:
            return True
    return False


def count(*, runs: int, seed: int = 0, progress: Callable[[int], object] = lambda _: None) -> list[dict[str, Any]]:
    """One dict a trap: the shares of `runs` logs that are promoted with the conditions and without them."""
    table = []
    for index, trap in enumerate(traps()):
        hits = np.zeros(2)
        for run in range(runs):
            log = draw(trap, np.random.default_rng([seed, index, run]))
            hits += [promoted(trap, log, asks=True), promoted(trap, log, asks=False)]
            progress(1)
        with_, without = (hits / runs).tolist()
        table.append({"trap": trap.name, "rows": trap.rows, "looks": trap.looks, "alpha": trap.alpha, "runs": runs,
                      "lift": trap.lift, "promoted": with_, "promoted_without": without})  # fmt: skip
    return table


def markdown(table: list[dict[str, Any]]) -> str:
    """One line a trap, shares in %."""
    lines = [
        "| lift exactly zero | rows, looks | logs | promoted, most by 95 % | without the three conditions |",
        "|---|---|---|---|---|",
    ]
    for row in table:
        n, hits = row["runs"], round(row["promoted"] * row["runs"])
        most = float(betaincinv(hits + 1, n - hits, 0.95)) if hits < n else 1.0
        shown = f"{row['promoted']:.1%}, {most:.1%} | {row['promoted_without']:.1%}"
        lines.append(f"| {row['trap']} | {row['rows']:,}, {row['looks']} | {n:,} | {shown} |")
    return "\n".join(lines) + "\n"


def write_page(table: list[dict[str, Any]], page: Path) -> None:
    """Put the table between the marks of a Markdown page."""
    marked.put(page, "adversarial", markdown(table))
