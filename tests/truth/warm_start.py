"""How many trials a tuning needs that begins with what came out best on other data sets, beside one that begins cold.

    python -m tests.truth.warm_start [--rows 2000] [--pool 36] [--seeds 3] [--kept FILE]

Data: the .npz files of CROUPIER_DATA (../shared/data), four sets of scikit-learn, and five that are made here. Each is a
bandit that a uniform policy logged (tuning_gains.py). Every configuration of the pool of `auto` is tried on every log, as a
tuning tries it; then each set is left out in turn, the other sets' tunings (seed 0) are the earlier ones, and configurations
are taken in the order that each way of beginning says. Counted is how many trials it takes until one is as good, by the
tuning's own judgement, as the best of the portfolio, with which the cold order begins, or within 0.01 of the best of all.
`--kept`: where the trials are kept, and read from if they are there.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from croupier.models.bayesian.posterior import Posterior, Prior
from croupier.models.bayesian.threads import one_thread
from croupier.models.simulation.simulate import Problem, problem_of, scaled
from croupier.models.tuning import spaces
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.data_features import NAMES, data_features
from croupier.models.tuning.earlier_tunings import EarlierTuning
from croupier.models.tuning.warm_start import begun, normal_scores, proposed
from tests.truth.tuning_gains import FOLDER, TEST, Log

POLICIES = ("vw_cb_adf", "lin_ts", "lin_ucb", "neural_linear", "bootstrap")
SKLEARN = ("load_digits", "load_iris", "load_wine", "load_breast_cancer")
MADE = ("made linear", "made network", "made xor", "made rare", "made 15 classes")
COLD = len(spaces.PORTFOLIO)  # configurations with which a cold tuning begins
NEAR = 0.01


def made(kind: str) -> tuple[Any, Any]:
    """X (6000, 12) of independent normals, and classes by a rule."""
    rng = np.random.default_rng([MADE.index(kind), 77])
    X = rng.normal(size=(6000, 12)).astype(np.float32)
    classes = 15 if kind == "made 15 classes" else 5
    scores = X @ rng.normal(size=(12, classes)) + 0.5 * rng.normal(size=(6000, classes))
    if kind == "made network":
        scores = np.maximum(X @ rng.normal(size=(12, 20)), 0) @ rng.normal(size=(20, 5))
    two = {"made xor": (X[:, 0] > 0) ^ (X[:, 1] > 0), "made rare": X @ rng.normal(size=12) > 5.4}
    return X, two[kind].astype(np.int64) if kind in two else scores.argmax(axis=1)


def problems(rounds: int) -> Iterator[tuple[str, Callable[[np.random.Generator], Problem]]]:
    """Every data set by its name."""
    for path in sorted(FOLDER.glob("*.npz")):
        yield problem_of(path, reward="class", wheel=None, rounds=rounds)
    sets = {name.removeprefix("load_"): getattr(datasets, name)(return_X_y=True) for name in SKLEARN}
    for name, (X, y) in (sets | {kind: made(kind) for kind in MADE}).items():
        yield name, partial(_problem, scaled(X), y, rounds)


def _problem(X: Any, y: Any, rounds: int, rng: np.random.Generator) -> Problem:
    return Problem.classification(X, y, rounds, rng)


def tried(given: argparse.Namespace, pool: list[Configuration]) -> list[dict[str, Any]]:
    """Of each set and seed: what its log is like, and what each configuration was judged to earn."""
    if given.kept and given.kept.exists():
        return [json.loads(line) for line in given.kept.read_text().splitlines()]
    found = []
    for name, problem in problems(given.rows + TEST):
        for seed in range(given.seeds):
            log = Log(problem(np.random.default_rng([seed, 1])), given.rows, seed)
            values = [trial["value"] for trial in log.tried(pool, log.learnt)]
            found.append({"set": name, "seed": seed, "data": data_features([log.whole]), "values": values})
    if given.kept:
        given.kept.write_text("".join(json.dumps(each) + "\n" for each in found))
    return found


def earlier(logs: list[dict[str, Any]], pool: list[Configuration]) -> list[EarlierTuning]:
    """These logs' tunings, as records of them say."""
    trials = ([each.to_json() | {"value": v} for each, v in zip(pool, log["values"], strict=True)] for log in logs)
    return [
        EarlierTuning.of({"app": log["set"], "on": "k", "data": log["data"], "rungs": [told]})
        for log, told in zip(logs, trials, strict=True)
    ]


def columns(pool: list[Configuration]) -> Any:
    """(n, c): an indicator for the policy and each of its parameters' values; rates as log₁₀, and that squared."""
    rows = []
    for each in pool:
        row = {each.policy: 1.0}
        for name, value in each.parameters.items():
            if name in {"learning_rate", "alpha"}:
                row |= {f"{each.policy} {name}": np.log10(value), f"{each.policy} {name} squared": np.log10(value) ** 2}
            else:
                row[f"{each.policy} {name} {value}"] = 1.0
        rows.append(row)
    names = sorted(set().union(*rows))
    return np.array([[row.get(name, 0.0) for name in names] for row in rows])


def sampled(data: dict[str, float], others: list[EarlierTuning], pool: list[Configuration], seed: int) -> list[Any]:
    """The order of linear Thompson sampling over [configuration; configuration ⊗ data], a draw for each place."""
    of, X = columns(pool), np.array([[each[name] for name in NAMES] for each in [data, *(o.data for o in others)]])
    X = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    phi = [np.concatenate([of, *(0.3 * value * of for value in x)], axis=1) for x in X[:, :]]
    where = {each.key: i for i, each in enumerate(pool)}
    head = Posterior.empty(phi[0].shape[1], Prior(precision=5.0))
    for x, tuning in zip(phi[1:], others, strict=True):
        order = [where[each.key] for each in tuning.order]
        head = head.update(x[order], normal_scores(len(order)))
    draws, left, found = phi[0] @ head.sample(np.random.default_rng(seed), len(pool)), set(range(len(pool))), []
    for place in range(len(pool)):
        found.append(max(left, key=lambda i: draws[i, place]))
        left.remove(found[-1])
    return [pool[i] for i in found]


def trials_to(order: list[Configuration], worth: dict[str, float], target: float) -> int:
    """How many trials it takes until one earns the target."""
    return next(i for i, each in enumerate(order, 1) if worth[each.key] >= target)


def counted(log: dict[str, Any], logs: list[dict[str, Any]], pool: list[Configuration]) -> dict[str, list[float]]:
    """Trials to what a cold tuning comes to, and to nearly the best of all, by how it begins."""
    others = earlier([each for each in logs if each["set"] != log["set"] and each["seed"] == 0], pool)
    worth = {each.key: value for each, value in zip(pool, log["values"], strict=True)}
    targets = max(log["values"][:COLD]), max(log["values"]) - NEAR
    rng = np.random.default_rng(log["seed"])
    nearest = spaces.distinct([*proposed(log["data"], others), *pool])
    orders = {
        "cold": [pool], "warm": [begun(pool, log["data"], others)], "proposals alone": [nearest],
        "linear TS": [sampled(log["data"], others, pool, seed) for seed in range(5)],
        "random": [[pool[i] for i in rng.permutation(len(pool))] for _ in range(50)],
    }  # fmt: skip
    return {
        name: [float(np.mean([trials_to(order, worth, target) for order in each])) for target in targets]
        for name, each in orders.items()
    }


def main() -> None:
    """Prints the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 2000), ("pool", 36), ("seeds", 3)):
        asked.add_argument(f"--{name}", type=int, default=default)
    asked.add_argument("--kept", type=Path)
    given, began = asked.parse_args(), time.process_time()
    pool = spaces.of_auto(given.pool, POLICIES, seed=0)
    with one_thread():
        logs = tried(given, pool)
        found = [(log["set"], counted(log, logs, pool)) for log in logs]
    names, ways = list(dict.fromkeys(name for name, _ in found)), list(found[0][1])
    print(f"| set | {' | '.join(ways)} |\n|---|{'---|' * len(ways)}")
    table = np.array(
        [[np.mean([each[way] for name, each in found if name == one], axis=0) for way in ways] for one in names]
    )
    for one, row in zip(names, table, strict=True):
        print(f"| {one} | {' | '.join(f'{a:.1f}, {b:.1f}' for a, b in row)} |")
    gain = table[:, :1] - table
    print(f"| mean | {' | '.join(f'{a:.1f}, {b:.1f}' for a, b in table.mean(axis=0))} |")
    error = gain.std(axis=0, ddof=1) / np.sqrt(len(names))
    cells = [f"{a:+.1f} ± {c:.1f}, {b:+.1f} ± {d:.1f}" for (a, b), (c, d) in zip(gain.mean(axis=0), error, strict=True)]
    print(f"| fewer than cold | {' | '.join(cells)} |\n\n{time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
