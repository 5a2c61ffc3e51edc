"""Days of a shop whose decisions are held to a baseline, by the code that serves: the running value's ledger, the
allowance, and each host's room. Rewards come late, hours are looked at in the order in which they matured, hosts go by
allowances of different age, demand jumps, and the policy is worse than the baseline where it hurts most.

    python -m tests.serving.constraints.promised 1000
"""

import sys
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from croupier.models.constraints.allowance import Allowance
from croupier.models.constraints.running_value import RunningValue
from croupier.serving.spending.exploring import room

ALPHA, DELTA, K, DELAY = 0.1, 0.05, 5, 2  # hours until an hour's rewards are known
HOURS = 60
POLICIES = ("better", "worse", "turns", "adversary", "rare")


@dataclass
class Day:
    """What a run came to: whether the promise was ever `broken`, the mean `share` of the policy, and at the end."""

    broken: bool
    share: float
    last: float


def worth(kind, hour, n, rng):
    """(n, K): the chances of a reward. The baseline is uniform; the policy likes arm 0."""
    base = 0.01 if kind == "rare" else 0.2
    chances = np.full((n, K), base) * rng.uniform(0.5, 1.5, (n, 1))
    good = kind in ("better", "rare") or (kind in ("turns", "adversary") and hour < HOURS // 2)
    chances[:, 0] *= 2.5 if good else 0.0
    if kind == "adversary" and hour >= HOURS // 2:
        chances[:, 1:] = 1.0  # the most that a request can lose
    return np.minimum(chances, 1.0)


def lived(kind, seed, *, counts=RunningValue, fits=room, hosts=2, hours=HOURS):
    """One run of `hours`: the promise is looked at after every decision. `counts` and `fits` are the controller's and
    the host's parts, in whose place a test may put wrong ones."""
    rng = np.random.default_rng(seed)
    value, budget = counts(alpha=ALPHA, delta=DELTA), 0.0
    allowances = [Allowance(promise="p", share=ALPHA)]
    used, waiting, total, broken, shares = np.zeros(hosts), [], 0.0, False, []
    busy = dict.fromkeys(map(str, range(hosts)), 0.0)
    for hour in range(hours):
        sizes = rng.poisson(40 * (10 if hour == HOURS // 2 + 3 else 1) / hosts, hosts)
        for host, n in enumerate(sizes):
            old = allowances[max(len(allowances) - 1 - int(rng.integers(0, 3)), 0)]
            granted, each = old.grants.get(str(host), 0.0), max(old.share - ALPHA, 0.0)
            m = min(n, fits(granted, used[host], each)) if each else n
            used[host] += m * each
            share = np.where(np.arange(n) < m, old.share, ALPHA)
            chances = worth(kind, hour, n, rng)
            policy, baseline = np.eye(K)[np.zeros(n, int)] * 0.95 + 0.01, np.full((n, K), 1 / K)
            p = (1 - share)[:, None] * baseline + share[:, None] * policy
            true = (p * chances).sum(axis=1) - (1 - ALPHA) * (baseline * chances).sum(axis=1)
            path = total + np.cumsum(true)
            broken |= bool((path < -1e-9).any())
            total = path[-1] if n else total
            arm = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(0, K - 1)
            reward = (rng.random(n) < chances[np.arange(n), arm]).astype(float)
            waiting.append((hour, reward, (1 / K) / p[np.arange(n), arm], share))
            shares.append(share)
        busy = {str(host): max(float(n), busy[str(host)] * 0.9) for host, n in enumerate(sizes)}
        for _, reward, ratio, share in [each for each in waiting if each[0] <= hour - DELAY]:
            value = value.counting(reward, ratio, share, np.ones(len(reward)))
        budget = max(budget, value.budget)
        waiting = [each for each in waiting if each[0] > hour - DELAY]
        pending = float(sum(len(each[1]) for each in waiting))
        allowances.append(allowances[-1].after(value, budget, pending=pending, hourly=busy))
    return Day(broken, float(np.concatenate(shares).mean()), float(np.concatenate(shares[-4:]).mean()))


def rate(kind, runs, **options):
    """(share of runs in which the promise was broken, mean share of the policy, mean share at the end)."""
    with threadpool_limits(1):
        found = [lived(kind, seed, **options) for seed in range(runs)]
    return np.mean([d.broken for d in found]), np.mean([d.share for d in found]), np.mean([d.last for d in found])


def main(runs):
    """Prints a row a policy."""
    for kind in POLICIES:
        broken, share, last = rate(kind, runs)
        print(f"| {kind} | {broken * runs:.0f} of {runs:,} | {share:.2f} | {last:.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
