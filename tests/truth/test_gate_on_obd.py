"""A/A of the gate on a real log: Open Bandit Data, resampled.

Rows of the uniform policy's log are drawn anew with replacement: their positions, items and logged propensities are the
real ones. Clicks are drawn apart from them, out of the log's own, so that every policy earns the log's click rate and a
lift is exactly zero. The champion is uniform; the candidate is Bernoulli TS as it ran, or half of each, which many rows
tell apart. `python -m tests.truth.test_gate_on_obd` prints the table of models/GATE.md."""

from functools import cache

import numpy as np
import pytest

from croupier.features.spec import GateSpec
from croupier.models.gate.bounds.steadied import extremes, powers
from croupier.models.gate.gate import PROMOTE
from croupier.models.ope.estimators import Rounds, effective_sample_size
from croupier.models.simulation.gate_simulation import DrawnLog, ours, plain_clt
from croupier.models.simulation.power.table import limits
from tests.truth.test_obp_agreement import FULL_SIZE_BTS, bts, logged
from tests.truth.test_slates_on_obd import archive

ROWS, LOOKS = 20_000, 10
SHARES = {"half BTS": 0.5, "BTS": 1.0}


@cache
def real(campaign):
    """(position, item, propensity, click) of the uniform log, and BTS's pmf at each position (3, K)."""
    wheel = archive()
    frame = logged(wheel, "random", campaign)
    columns = [frame[c].to_numpy() for c in ("position", "item_id", "propensity_score", "click")]
    return columns[0] - 1, columns[1], columns[2], columns[3].astype(float), bts(wheel, campaign, 50_000).T


def resampled(campaign, share, seed):
    """One log of ROWS rows as the candidate and the champion see it."""
    place, item, p, click, target = real(campaign)
    rng = np.random.default_rng([seed, len(campaign)])
    at, reward = rng.integers(len(item), size=ROWS), click[rng.integers(len(click), size=ROWS)]
    place, item, p = place[at], item[at], p[at]
    uniform = np.full(target.shape, 1.0 / target.shape[1])
    candidate = share * target + (1 - share) * uniform
    q = np.full(ROWS, click.mean())
    sides = [
        Rounds(reward=reward, propensity=p, target=pmf[place, item], predicted=q, direct=q, thinning=np.ones(ROWS))
        for pmf in (candidate, uniform)
    ]
    count = target.shape[1]
    likely = (item == 0) - 1.0 / count
    return DrawnLog(
        candidate=sides[0],
        champion=sides[1],
        tests=np.column_stack([1.0 / (count * p) - 1.0, likely]),
        divergence=powers(uniform, candidate, uniform)[place],
        reach=extremes(uniform, candidate, uniform)[place],
        unsupported=0.0,
        declared=(0.0, 1.0),
    )


def counted(campaign, name, runs):
    """Promotions by the gate and by a plain normal interval at every look, and the mean effective sample size."""
    at = [ROWS * k // LOOKS for k in range(1, LOOKS + 1)]
    sizes, hits = [], np.zeros(2, dtype=int)
    for seed in range(runs):
        log = resampled(campaign, SHARES[name], seed)
        sizes.append(effective_sample_size(log.candidate.weight))
        hits += [rule(log, at)[0] == PROMOTE for rule in (ours, plain_clt)]
    return float(np.mean(sizes)), *hits.tolist()


def lines(runs):
    yield "| campaign | candidate | ESS | promoted, most by 95 % | a plain normal interval |\n|---|---|---|---|---|"
    for campaign in FULL_SIZE_BTS:
        for name in SHARES:
            size, hits, plain = counted(campaign, name, runs)
            most = limits(hits, runs)[1]
            yield f"| {campaign} | {name} | {size:,.0f} | {hits / runs:.1%}, {most:.1%} | {plain / runs:.1%} |"


@pytest.mark.slow
@pytest.mark.parametrize("runs", [40, pytest.param(1000, marks=pytest.mark.full)])
def test_nothing_is_promoted_where_clicks_know_nothing_of_the_item(runs):
    """At most α, by the exact lower limit of so many logs; the plain interval errs far more often on the same."""
    size, hits, plain = counted("men", "half BTS", runs)
    assert size > GateSpec().min_ess
    assert limits(hits, runs)[0] <= GateSpec().alpha
    assert plain > hits


if __name__ == "__main__":
    print("\n".join(lines(1000)))
