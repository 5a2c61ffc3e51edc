"""What a served run of paced.py is compared with: the same policy, LinTS drawing from the same posterior, decides the same
requests again at fixed prices, and at none until a day's budget is gone."""

from functools import partial

import numpy as np

from croupier.models.constraints.day_price import price_of
from croupier.models.constraints.long_run import PriceList
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.simulation.pacing import BUDGET
from croupier.models.simulation.pacing_policy import FLOOR, TOLERANCE
from croupier.models.simulation.pacing_world import CATEGORY, COSTS
from tests.serving.constraints import paced

SAMPLE, CHUNK, SWEEPS = 4_000, 2_000, 8  # requests that prices are found on; decided at once; passes over the prices
STILL = 2e-4  # of a price, in units of reward, below which it has been found
ALIKE = ("kind 2 1 more", "kind 2 0 less"), ("kind 2 1 less", "kind 2 0 more")  # one way, and the other


def decide(run, prices, rows):
    """(n, K) the pmf of these requests at fixed prices, as the release serves them."""
    at, found = np.arange(len(run.arms))[rows], []
    named = Multipliers(version=1, prices=prices)
    for begin in range(0, len(at), CHUNK):
        some = at[begin : begin + CHUNK]
        contexts, arms = [paced.context(run.x[i]) for i in some], [tuple(paced.ARMS)] * len(some)
        batch = run.release.encoder.encode(contexts, arms, [()] * len(some), run.release.catalogue)
        priced = PriceList.of(run.usages, named, day="").on(batch)
        found.append(run.release.exploration.pmf(run.release.champion, priced))
    return np.concatenate(found)


def limits_of(run, rows):
    """By what is declared: of each price, or of those that even out one way, the mean usage of a pmf of `rows`, and the
    most that it may be."""
    group = run.shop.group[rows]

    def gap(pmf):
        mass, weight = pmf @ (CATEGORY == 2), np.ones(len(pmf))
        if run.opportunity:
            weight = paced.suiting(run.shop, pmf, rows)
        return float(np.subtract(*[np.average(mass[group == g], weights=weight[group == g]) for g in (1, 0)]))

    per_request = BUDGET * len(run.prices) / len(run.arms)
    return {
        "spend": [(("spend",), lambda pmf: float((pmf @ COSTS).mean()), per_request)],
        "floor": [(("kind 1 floor",), lambda pmf: 1 - float((pmf @ (CATEGORY == 1)).mean()), 1 - FLOOR)],
        "parity": [
            (ALIKE[0], lambda pmf: 1 + gap(pmf), 1 + TOLERANCE),
            (ALIKE[1], lambda pmf: 1 - gap(pmf), 1 + TOLERANCE),
        ],
    }


def best_fixed(run, *, without=""):
    """The fixed prices in hindsight at which all requests together keep what is declared, but for one constraint: the
    dual's coordinates one after another, each price the least at which its constraint holds, the others being what they
    are. The budget is that of all days together, so that more may be spent where there is more to gain."""
    rows = np.linspace(0, len(run.arms) - 1, min(SAMPLE, len(run.arms))).astype(int)
    prices, part = dict.fromkeys(run.usages, 0.0), run.shop.group[rows].mean()
    held = [each for name, limits in limits_of(run, rows).items() if name != without for each in limits]

    def own(names, price):
        """Of parity weighted so that both groups' prices sum to 0."""
        weight = {"1": 1 - part, "0": part}
        return {n: price * (weight[n.split()[2]] if n.startswith("kind 2") else 1.0) for n in names}

    def usage(names, used, price):
        return used(decide(run, prices | own(names, price), rows))

    for _ in range(SWEEPS):
        before = dict(prices)
        for names, used, limit in held:
            prices |= dict.fromkeys(names, 0.0)
            prices |= own(names, price_of(limit, partial(usage, names, used), most=0.5))
        if max(abs(prices[n] - before[n]) for n in prices) < STILL:
            break
    return prices


def of_prices(run, prices):
    """What fixed prices earn a decision, in expectation over all requests, and what they keep."""
    pmf = decide(run, prices, slice(None))
    return earned(run, pmf) | {"spent_a_day": float((pmf @ COSTS).sum() / len(run.prices))}


def lifts(run, best):
    """What the best fixed prices would earn more, of `best`, were one of the constraints not declared."""
    return {
        name: of_prices(run, best_fixed(run, without=name))["reward"] / best - 1 for name in limits_of(run, slice(0, 1))
    }


def throttled(run, seed=0):
    """Greedy throttling: no price at all; once a day's budget cannot pay what was drawn, the free arm for its rest."""
    pmf, first = decide(run, {}, slice(None)), run.shop.first
    drawn = (pmf.cumsum(axis=1) > np.random.default_rng(seed).random(len(pmf))[:, None] * (1 - 1e-12)).argmax(axis=1)
    for day in range(len(run.prices)):
        rows = slice(first[24 * day], first[24 * day + 24])
        gone = rows.start + int(np.searchsorted(np.cumsum(COSTS[drawn[rows]]), BUDGET, side="right"))
        pmf[gone : rows.stop] = COSTS == 0
    return earned(run, pmf)


def earned(run, pmf):
    """The mean reward of a pmf (T, K), in truth, and what it keeps."""
    return {"reward": float((pmf * run.shop.means).sum(axis=1).mean())} | paced.kept_of(run.shop, pmf, slice(None))
