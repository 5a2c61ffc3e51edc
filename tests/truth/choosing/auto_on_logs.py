"""What `candidates = "auto"` earns on a log, beside the best single policy of its portfolio in hindsight.

    python -m tests.truth.choosing.auto_on_logs [--sets main|awkward|kept_back] [--logged even,uneven,greedy] [--rows 4000] [--seeds 5]

main: the 14 sets of warm_start.py. awkward, kept_back: those of awkward_logs.py; nothing was chosen by the last. `auto`
chooses on the log as an app's training does; what is left learns all of it, and of two the one that earns more by DR on
1,600 later rows is taken, as the gate would. Truth is exact: the mean reward of every arm on 3,000 rows that none has
seen. The best in hindsight is the configuration of the portfolio that, trained on the whole log, is worth most in the
mean over seeds. Printed of each set and logging policy: what the best is worth, how much less `auto` is, with the
standard error over seeds, and that of the gate's own comparison of the two on one log; and what choosing and training
cost, as a multiple of training the costliest configuration, and of training and judging it. CPU seconds, one thread.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from croupier.features.batch import F64, Interactions
from croupier.models.bayesian.threads import one_thread
from croupier.models.ope.estimators import dr
from croupier.models.ope.reward_model import cross_fit
from croupier.models.ope.rounds import as_served, rounds_of
from croupier.models.policy import Policy, make
from croupier.models.simulation.simulate import Problem, play
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.halving import narrowed, survivors
from croupier.models.tuning.spaces import PORTFOLIO
from croupier.models.tuning.trial import difference, sums
from croupier.models.tuning.tuner import CHOOSING, LEAST, told_apart
from tests.truth.choosing.awkward_logs import AWKWARD, KEPT_BACK, Evenly, Greedily, Unevenly
from tests.truth.warm_start import problems

GATE, TEST, BEGAN, FLOOR = 1600, 3000, 300, 0.02  # rows; BEGAN are those that the greedy policy has learnt
UNTIL_THEN = (PORTFOLIO[0], PORTFOLIO[3])  # as models/choosing.py has it


class Log:
    """What a policy logged of a problem: rows that choose and are learnt, rows of the gate, rows whose truth is known."""

    def __init__(self, problem: Problem, logged: str, rows: int, seed: int) -> None:
        self.problem, self.seed = problem, seed
        by = self._logging(logged, rows + GATE + TEST)
        self.whole, self.gate = self._played(by, 0, rows, 5), self._played(by, rows, rows + GATE, 7)
        self.test = self._played(Evenly(), rows + GATE, rows + GATE + TEST, 6)
        self.means = problem.means[rows + GATE : rows + GATE + TEST]
        self.expected = cross_fit(self.gate, seed=seed)

    def _logging(self, logged: str, end: int) -> Any:
        if logged != "greedy":
            return {"even": Evenly(), "uneven": Unevenly(self.seed)}[logged]
        learnt = make("lin_ucb", heads="per_arm").learn([self._played(Evenly(), end, end + BEGAN, 4)], seed=self.seed)
        return Greedily(learnt)

    def _played(self, by: Any, first: int, last: int, stream: int) -> Interactions:
        return play(self.problem, by, first, last, np.random.default_rng([self.seed, stream]))

    def learnt(self, configuration: Configuration, rows: Interactions) -> Policy:
        """The policy, trained on these rows."""
        return make(configuration.policy, **configuration.parameters).learn([rows], seed=self.seed)

    def chosen(self, portfolio: Sequence[Configuration]) -> list[Configuration]:
        """What `auto` leaves of the portfolio."""
        if len(self.whole) < LEAST:
            return list(UNTIL_THEN)
        first, most = told_apart(len(self.whole))
        judges = self.whole[first:]
        expected = cross_fit(judges, seed=self.seed)

        def run(each: Sequence[Configuration], rows: int) -> list[dict[str, Any]]:
            policies = (self.learnt(one, self.whole[first - rows : first]) for one in each)
            return [_trial(policy, judges, expected) for policy in policies]

        tried = narrowed(portfolio, most, run, least=CHOOSING, of_each=True)
        return [each.configuration for each in survivors(tried[-1])]

    def worth(self, policy: Policy) -> float:
        """The exact mean reward of what is served."""
        return float((as_served(policy, self.test.batch, FLOOR) * self.means).sum(axis=1).mean())

    def judged(self, policy: Policy) -> dict[str, Any]:
        """By the gate's rows."""
        return _trial(policy, self.gate, self.expected)


def _trial(policy: Policy, log: Interactions, expected: Any) -> dict[str, Any]:
    values = dr(rounds_of(log, as_served(policy, log.batch, FLOOR), expected))
    return {"value": float(values.mean()), "sums": sums(values).tolist(), "rows": [0, len(values)]}


@dataclass(frozen=True)
class Found:
    """Of one log: `worth` (c,) of each configuration, `judged` on the gate's rows, CPU seconds (c,) of training and of
    judging each; `left` are the places of those that `auto` left, and `choosing` took so many CPU seconds."""

    worth: F64
    judged: list[dict[str, Any]]
    training: F64
    judging: F64
    left: list[int]
    choosing: float

    @property
    def taken(self) -> int:
        """The place of the one that the gate's rows prefer of those that are left."""
        return max(self.left, key=lambda i: self.judged[i]["value"])

    @property
    def cost(self) -> tuple[float, float]:
        """What `auto` costs, as a multiple of training the costliest, and of training and judging it."""
        training, both = (
            (self.choosing + one[self.left].sum()) / one.max() for one in (self.training, self.training + self.judging)
        )
        return float(training), float(both)


def found(log: Log, portfolio: Sequence[Configuration]) -> Found:
    """Chooses on the log, and trains and judges every configuration of the portfolio on all of it."""
    begun = time.process_time()
    left = log.chosen(portfolio)
    choosing, worth, judged, times = time.process_time() - begun, [], [], []
    for each in portfolio:
        begun = time.process_time()
        policy = log.learnt(each, log.whole)
        trained = time.process_time()
        judged.append(log.judged(policy))
        times.append((trained - begun, time.process_time() - trained))
        worth.append(log.worth(policy))
    places = [list(portfolio).index(each) for each in left]
    return Found(np.array(worth), judged, *np.array(times).T, places, choosing)


@dataclass(frozen=True)
class Line:
    """What comes to a line of the table, of several seeds. `best` is a place; `gap` how much less `auto` is worth than
    it, with its standard error over seeds and that of the gate's comparison on one log."""

    best: int
    worth: float
    gap: float
    over_seeds: float
    of_gate: float
    cost: tuple[float, float]

    @classmethod
    def of(cls, logs: Sequence[Found]) -> "Line":
        """Of logs of the same problem."""
        worth = np.array([log.worth for log in logs])
        best = int(worth.mean(axis=0).argmax())
        gaps = np.array([log.worth[best] - log.worth[log.taken] for log in logs])
        errors = [difference(log.judged[best], log.judged[log.taken])[1] for log in logs]
        return cls(
            best=best,
            worth=float(worth[:, best].mean()),
            gap=float(gaps.mean()),
            over_seeds=float(gaps.std(ddof=1) / np.sqrt(len(gaps))),
            of_gate=float(np.sqrt(np.mean(np.square(errors)))),
            cost=(float(np.mean([log.cost[0] for log in logs])), float(np.mean([log.cost[1] for log in logs]))),
        )

    @property
    def met(self) -> tuple[bool, bool]:
        """Whether `auto` is within one standard error over seeds, and within one of the gate's."""
        return self.gap <= self.over_seeds + 1e-12, self.gap <= self.of_gate + 1e-12


def cases(sets: str, rows: int) -> Iterator[tuple[str, int, Callable[[np.random.Generator], Problem]]]:
    """Of each set its name, how many rows its log has, and its problem."""
    more = GATE + TEST + BEGAN
    if sets == "main":
        yield from ((name, rows, problem) for name, problem in problems(rows + more))
        return
    for name, made in {"awkward": AWKWARD, "kept_back": KEPT_BACK}[sets].items():
        count = min(made.rows or rows, rows)
        yield name, count, partial(made, count + more)


def row(name: str, logged: str, line: Line) -> str:
    """A line of the table."""
    best = PORTFOLIO[line.best].said
    gap = f"{line.gap:.4f} ± {line.over_seeds:.4f}, {line.of_gate:.4f}"
    return f"| {name} | {logged} | {best} | {line.worth:.4f} | {gap} | {line.cost[0]:.1f}, {line.cost[1]:.1f} |"


def summary(lines: Sequence[Line]) -> str:
    """How many lines are within one standard error, and within three times the cost."""
    met, costs = np.array([line.met for line in lines]), np.array([line.cost for line in lines])
    return (
        f"{len(lines)} lines: within one standard error over seeds {met[:, 0].sum()}, of the gate {met[:, 1].sum()}, of "
        f"either {met.any(axis=1).sum()}; at most three times as dear as training {(costs[:, 0] <= 3).sum()}, as training "
        f"and judging {(costs[:, 1] <= 3).sum()} (medians {np.median(costs[:, 0]):.1f}, {np.median(costs[:, 1]):.1f})"
    )


def main() -> None:
    """Prints the table, a line as soon as it is there."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--sets", choices=("main", "awkward", "kept_back"), default="main")
    asked.add_argument("--logged", default="even,uneven,greedy")
    for name, default in (("rows", 4000), ("seeds", 5)):
        asked.add_argument(f"--{name}", type=int, default=default)
    given, lines = asked.parse_args(), list[Line]()
    found(Log(AWKWARD["600 rows"](600 + GATE + TEST, np.random.default_rng(0)), "even", 600, 0), PORTFOLIO)  # imports
    began = time.process_time()
    print(
        "| set | logged | best in hindsight | its worth | auto is worth less | times as dear |\n|---|---|---|---|---|---|"
    )
    for name, rows, problem in cases(given.sets, given.rows):
        for logged in given.logged.split(","):
            with one_thread():
                logs = [
                    found(Log(problem(np.random.default_rng([seed, 1])), logged, rows, seed), PORTFOLIO)
                    for seed in range(given.seeds)
                ]
            lines.append(Line.of(logs))
            print(row(name, logged, lines[-1]), flush=True)
    print(f"\n{summary(lines)}; {given.seeds} seeds, {time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
