"""What a head of noisy sums is worth, by ε and by the rows of all sites.

    python -m tests.truth.private_sites [--seeds 5] [--columns 3,12]

Four sites have a quarter each of a uniform log of a linear world (`models/simulation/synthetic.py`), a unit a row. Their
sums over the φ of one `lin_ts`, noisy at (ε, 1e-6) each, are added (models/federated). Told is the share of the best
policy's lift over uniform that the head's pmf has, exact, on 4,000 requests: 1 is the best policy, 0 is uniform.
"""

import argparse
import time

import numpy as np

from croupier.models.bayesian.linear import LinTS
from croupier.models.federated import summed
from croupier.models.federated.noise import UnitLimits, multiplier, noisy, repaired
from croupier.models.federated.profile import untrained
from croupier.models.simulation.synthetic import LinearWorld

EPSILONS, ROWS, SITES, DELTA = (0.0, 8.0, 2.0, 0.5), (1_000, 4_000, 16_000, 64_000, 256_000), 4, 1e-6


def head_of(start: LinTS, logs: list, epsilon: float, bound: float, rng: np.random.Generator) -> LinTS:
    """The policy with the head of all sites, whose sums are noisy at this ε; 0: exact."""
    sd = 0.0
    if not epsilon:
        moments = [summed.exact(start, [log]) for log in logs]
    else:
        limits = UnitLimits(length=bound, low=0.0, high=1.0)
        sd = multiplier(epsilon, DELTA) * limits.sensitivity(summed.largest(start, limits))
        moments = [noisy(summed.limited(start, [log], limits), sd, rng) for log in logs]
    total = moments[0]
    for more in moments[1:]:
        total = total + more
    empty = untrained(start)
    head = empty.head.__class__(prior=empty.head.prior, moments=repaired(total, 2.0 * sd) if epsilon else total, step=1)
    return empty.with_head(head)


def shares(columns: int, seed: int) -> np.ndarray:
    """(rows, ε): the share of the best policy's lift, on one world."""
    world = LinearWorld.make(seed, arms=8, candidates=6, d_u=columns, d_a=columns, d_p=2)
    start = LinTS(cross="none").learn([world.log(200, 900 + seed)])
    asked = world.requests(4000, np.random.default_rng([seed, 8]), ragged=False)
    worth = world.expected(asked)
    uniform, best = worth.mean(), worth.max(axis=1).mean()
    bound, rng = (
        float(np.sqrt(2 * columns + 3)),
        np.random.default_rng([seed, 9]),
    )  # φ of normal columns is about so long
    found = np.zeros((len(ROWS), len(EPSILONS)))
    for i, rows in enumerate(ROWS):
        log = world.log(rows, seed, ragged=False)
        logs = [log[slice(k, None, SITES)] for k in range(SITES)]
        for j, epsilon in enumerate(EPSILONS):
            pmf = head_of(start, logs, epsilon, bound, rng).pmf(asked)
            found[i, j] = ((pmf * worth).sum(axis=1).mean() - uniform) / (best - uniform)
    return found


def main() -> None:
    """Prints a table for each number of columns."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--columns", default="3,12")
    given, began = asked.parse_args(), time.process_time()
    print(
        "| φ | rows | no noise |", " | ".join(f"ε = {e:g}, z = {multiplier(e, DELTA):.2f}" for e in EPSILONS[1:]), "|"
    )
    print("|---|---|" + "---|" * len(EPSILONS))
    for columns in map(int, given.columns.split(",")):
        every = np.array([shares(columns, seed) for seed in range(given.seeds)])
        mean, error = every.mean(axis=0), every.std(axis=0, ddof=1) / np.sqrt(given.seeds)
        for rows, row, more in zip(ROWS, mean, error, strict=True):
            cells = " | ".join(f"{m:.2f} ± {e:.2f}" for m, e in zip(row, more, strict=True))
            print(f"| {2 * columns + 3} | {rows:,} | {cells} |", flush=True)
    print(f"\n{time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
