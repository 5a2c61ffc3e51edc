"""Default, random search, successive halving, and Optuna's Gaussian process where the extra [tune] is installed, at
equal budget, on logs of known truth.

    python -m tests.truth.tuning_gains [--policies vw_cb_adf,lin_ts] [--rows 4000] [--trials 18] [--seeds 5]

Data: the .npz files (X, y) in the folder CROUPIER_DATA, by default ../shared/data beside the repository. Each becomes a
bandit (one arm a class, reward 1 for the right one) that a uniform policy logged. Halving and random search are those of
models/tuning: trials learn the earlier rows, and cross-fitted DR on later ones judges. The default and the best of
each search then learn the whole log. What each is worth is exact: its probability of the right class, mean
over 3,000 rows that none has seen. It prints a Markdown table: mean losses over seeds, and how much less is lost than by
the default, with standard errors over seeds.
"""

import argparse
import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from croupier.features.batch import Interactions
from croupier.models.baselines import Uniform
from croupier.models.bayesian.threads import one_thread
from croupier.models.ope.estimators import dr
from croupier.models.ope.reward_model import cross_fit
from croupier.models.ope.rounds import as_served, rounds_of
from croupier.models.policy import make
from croupier.models.simulation.online.learner import Learner, Schedule
from croupier.models.simulation.simulate import Problem, play, problem_of
from croupier.models.tuning import spaces
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.halving import budget, narrowed
from croupier.models.tuning.optuna_search import ModelSearch
from croupier.models.tuning.trial import sums
from croupier.models.tuning.tuner import JUDGED

FOLDER = Path(os.environ.get("CROUPIER_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
TEST, FLOOR = 3000, 0.02
SEARCHES = ("random", "tuned", *(["gp"] if find_spec("optuna") else []))


class Log:
    """A uniform log of a problem: rows that learn, rows that judge, rows whose truth is known."""

    def __init__(self, problem: Problem, rows: int, seed: int) -> None:
        learner = Learner(Uniform(), problem.range, seed, Schedule())
        self.whole = play(problem, learner, 0, rows, np.random.default_rng([seed, 5]))
        self.test = play(problem, learner, rows, rows + TEST, np.random.default_rng([seed, 6]))
        self.means, self.seed = problem.means[rows : rows + TEST], seed
        self.learnt = round(rows * (1 - JUDGED))
        self.judges = self.whole[self.learnt :]
        self.predicted = cross_fit(self.judges, seed=seed)

    def tried(self, configurations: list[Configuration], rows: int) -> list[dict[str, Any]]:
        """Trials that learn the latest `rows` of those that learn."""
        part = self.whole[self.learnt - rows : self.learnt]
        return [self._trial(each, part) for each in configurations]

    def _trial(self, configuration: Configuration, part: Interactions) -> dict[str, Any]:
        learnt = make(configuration.policy, **configuration.parameters).learn([part], seed=self.seed)
        rounds = rounds_of(self.judges, as_served(learnt, self.judges.batch, FLOOR), self.predicted)
        values = dr(rounds)
        return {"value": float(values.mean()), "sums": sums(values).tolist(), "rows": [len(part), len(values)]}

    def loss(self, configuration: Configuration) -> float:
        """Exact loss of a policy that has learnt the whole log, as served."""
        learnt = make(configuration.policy, **configuration.parameters).learn([self.whole], seed=self.seed)
        pmf = as_served(learnt, self.test.batch, FLOOR)
        return 1.0 - float((pmf * self.means).sum(axis=1).mean())


def compared(log: Log, configurations: list[Configuration]) -> dict[str, float]:
    """Loss of the default, and of the best of each search, which cost as many learnt rows."""
    rungs = narrowed(configurations, log.learnt, lambda each, rows: log.tried(list(each), rows))
    count = max(1, round(budget(rungs) / log.learnt))
    random = configurations[1 : 1 + count]
    values = [found["value"] for found in log.tried(random, log.learnt)]
    chosen = {"default": configurations[0], "random": random[int(np.argmax(values))]}
    chosen["tuned"] = rungs[-1][0].configuration
    if "gp" in SEARCHES:
        search = ModelSearch([configurations[0].policy], count, seed=log.seed)
        found = search.run(lambda each: log.tried(list(each), log.learnt))
        chosen["gp"] = max(found, key=lambda each: each[1]["value"])[0]
    return {name: log.loss(each) for name, each in chosen.items()}


def row(name: str, policy: str, found: list[dict[str, float]]) -> str:
    """A line of the table."""
    cells = [f"{np.mean([each[kind] for each in found]):.3f}" for kind in ("default", *SEARCHES)]
    for kind in SEARCHES:
        gain = np.array([each["default"] - each[kind] for each in found])
        cells.append(f"{gain.mean():+.3f} ± {gain.std(ddof=1) / np.sqrt(len(gain)):.3f}")
    return f"| {name} | {policy} | " + " | ".join(cells) + " |"


def main() -> None:
    """Prints the table, a line as soon as it is there."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--policies", default="vw_cb_adf,lin_ts")
    for name, default in (("rows", 4000), ("trials", 18), ("seeds", 5)):
        asked.add_argument(f"--{name}", type=int, default=default)
    given, began = asked.parse_args(), time.process_time()
    titles = ("set", "policy", "default", *SEARCHES, *(f"{kind} gains" for kind in SEARCHES))
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for path in sorted(FOLDER.glob("*.npz")):
        name, problem = problem_of(path, reward="class", wheel=None, rounds=given.rows + TEST)
        logs = [Log(problem(np.random.default_rng([s, 1])), given.rows, s) for s in range(given.seeds)]
        for policy in given.policies.split(","):
            with one_thread():
                found = [compared(log, spaces.drawn(policy, given.trials, seed=log.seed)) for log in logs]
            print(row(name, policy, found), flush=True)
    print(f"\n{given.seeds} seeds, {given.rows:,} rows, {time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
