"""The simulation's shop through the served path: Embedded, its log, the join, the controller, prices, and back.

    python -m tests.serving.constraints.test_pacing_served 12       # days; the table of serving/constraints/README.md

The policy is LinTS, learnt from a uniform log of as many rows as the simulation's scores; spend, floor and parity are those
of `croupier simulate pacing`, declared in app.toml. Looks are an hour apart, and an hour's requests come as one batch.
"""

import json
import sys
import tempfile
from datetime import timedelta

import numpy as np
import pytest
from scipy.special import expit

from croupier import Embedded
from croupier.features import build, clock
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.join import join_interval
from croupier.features.utc import HOUR, from_us
from croupier.models.bayesian.linear import LinTS
from croupier.models.constraints import kept_multipliers
from croupier.models.simulation import pacing
from croupier.models.simulation.pacing_policy import FLOOR, TOLERANCE, best_fixed, limits, of_fixed
from croupier.models.simulation.pacing_world import CATEGORY, COSTS, FEATURES, LEARNT_ON, PacedShop, demand, people
from croupier.serving.constraints import controller
from croupier.serving.contract.requests import Request
from croupier.serving.decide.price_reader import mirror
from croupier.serving.operate import verdict_release
from tests.serving.allocation import pages

BEGIN = 1_772_323_200_000_000  # 2026-03-01T00:00Z
ARMS = {f"offer{k}": {"offer": f"o{k}", "kind": f"k{CATEGORY[k]}", "cost": float(COSTS[k])} for k in range(len(COSTS))}
TOML = f"""
[reward]
window_seconds = 60.0
[reward.kinds.sale]
[policies]
candidates = ["lin_ts"]
floor = 0.03
[context.group]
type = "categorical"
[arm.offer]
type = "categorical"
[arm.kind]
type = "categorical"
[arm.cost]
type = "numeric"
[[constraints]]
name = "spend"
kind = "spend"
cost = "cost"
budget = {pacing.BUDGET}
[[constraints]]
name = "kind 1"
kind = "exposure"
arm.kind = ["k1"]
floor = {FLOOR}
[[constraints]]
name = "kind 2"
kind = "parity"
arm.kind = ["k2"]
across = "group"
groups = ["0", "1"]
tolerance = {TOLERANCE}
""" + "".join(f'[context.x{j}]\ntype = "numeric"\ntransform = "none"\n' for j in range(FEATURES))


def drawn(days, seed):
    """A shop of the simulation, the people who ask (T, 6), and what they like (6, K): drawn as it draws them."""
    rng = np.random.default_rng([seed, 0])
    truth = rng.normal(0, 0.6, (FEATURES + 2, len(COSTS)))
    truth[-2] /= 2
    truth[-1] = -2.0 + 0.35 * COSTS
    x = people(int(rng.poisson(demand(days)).sum()), rng)
    shop = PacedShop.drawn(days, np.random.default_rng([seed, 0]))
    np.testing.assert_allclose(shop.means, expit(x @ truth), atol=1e-12)
    return shop, x, truth


def context(row):
    """A request's context, of a person's features, group and 1."""
    return {f"x{j}": float(row[j]) for j in range(FEATURES)} | {"group": str(int(row[FEATURES]))}


def taught(app, truth, seed):
    """A release of LinTS, which has learnt from a uniform log of the weeks before."""
    rng, w = np.random.default_rng([seed, 2]), app.host.w
    x = people(LEARNT_ON, rng)
    asked = [Request(unit_id="u", context=context(row), arms=tuple(ARMS)) for row in x]
    with clock.at(BEGIN - 20 * 24 * HOUR):
        answers = [a for at in range(0, LEARNT_ON, 200) for a in app.select_batch(asked[at : at + 200])]
    rows = app.host.spool.find([a.event_id for a in answers])
    arm = np.array([[*ARMS].index(a.arm) for a in answers])
    sold = rng.random(LEARNT_ON) < expit(x @ truth)[np.arange(LEARNT_ON), arm]
    log = pages.interactions([rows[a.event_id] for a in answers], sold.astype(float).tolist())
    encoder = Encoder.fit(w.spec, log, w.arms())
    policy = LinTS().learn([encode_interactions(log, encoder, encoder.catalogue(w.arms()))], seed=seed)
    meta = {"verdict": "test"}
    verdict_release.release_policies(w, champion=policy, candidate=None, encoder=encoder, arms=w.arms(), meta=meta)
    app.host.look()


def hour_of(app, hour, contexts, first):
    """The decisions of an hour, and then a look, for which the hour before has been joined. Returns the arms drawn, and
    the probability of each."""
    w, at = app.host.w, BEGIN + hour * HOUR
    requests = [
        Request(unit_id=f"u{first + i}", context=each, arms=tuple(ARMS), event_id=f"r{first + i}")
        for i, each in enumerate(contexts)
    ]
    with clock.at(at + HOUR // 2):
        answers = app.select_batch(requests)
    with clock.at(at + HOUR + 60_000_000):
        build.collect("shop")
        if hour:
            start = from_us(at - HOUR)
            join_interval(w.store, w.spec.reward, start=start, end=start + timedelta(hours=1), now=clock.now())
        controller.move(w, now=clock.now())
        mirror(w.store, w.home)
        app.host.selector._prices._looked = -np.inf
    return [[*ARMS].index(a.arm) for a in answers], [a.pmf for a in answers]


def served(days, seed, *, told=lambda day: None):
    """The arms (T,) that were drawn and their pmfs (T, K), of all days of a shop; and the shop."""
    shop, x, truth = drawn(days, seed)
    arms, pmfs = [], []
    with tempfile.TemporaryDirectory() as var, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", var)
        patch.setenv("CROUPIER_DURABILITY", "NORMAL")
        with Embedded.declared("shop", toml=TOML, arms=ARMS, var=var) as app:
            taught(app, truth, seed)
            for hour in range(days * 24):
                rows = range(shop.first[hour], shop.first[hour + 1])
                made = hour_of(app, hour, [context(x[i]) for i in rows], shop.first[hour])
                arms += made[0]
                pmfs += made[1]
                if hour % 24 == 23:
                    prices = kept_multipliers.now(app.host.w.store).multipliers.prices
                    told(figures(shop, np.array(arms), np.array(pmfs), (hour + 1) // 24) | {"prices": prices})
    return shop, np.array(arms), np.array(pmfs)


def figures(shop, arms, pmfs, days, *, after=4):
    """What was kept and earned from day `after` on (0: of all), beside the simulation's own run of the same days."""
    if days <= after:
        return {"days": days}
    spent = np.array([COSTS[arms[shop.first[24 * d] : shop.first[24 * d + 24]]].sum() for d in range(days)])
    rows = slice(shop.first[24 * after], shop.first[24 * days])
    kind, group = CATEGORY[np.arange(len(COSTS))], shop.group[rows]
    share = {k: (pmfs[rows] * (kind == k)).sum(axis=1) for k in (1, 2)}
    limit = limits(pacing.BUDGET * (days - after) / (rows.stop - rows.start))
    best = best_fixed(shop.scores[rows], group, limit)
    reward, _ = of_fixed(shop.scores[rows], shop.means[rows], group, best)
    return {
        "days": days,
        "decisions": int(rows.stop - rows.start),
        "spend_error": float(abs(spent[after:] - pacing.BUDGET).mean() / pacing.BUDGET),
        "largest_spend_error": float(abs(spent[after:] - pacing.BUDGET).max() / pacing.BUDGET),
        "floor_share": float(share[1].mean()),
        "parity_gap": float(abs(share[2][group == 1].mean() - share[2][group == 0].mean())),
        "reward_share_of_best_multiplier": float((pmfs[rows] * shop.means[rows]).sum(axis=1).mean() / reward),
    }


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_served_path_paces_as_the_simulation_does():
    shop, arms, pmfs = served(8, 0)
    found = figures(shop, arms, pmfs, 8)
    assert found["largest_spend_error"] < 0.02
    assert found["floor_share"] > FLOOR - 0.02
    assert found["parity_gap"] < TOLERANCE + 0.02
    assert found["reward_share_of_best_multiplier"] > 0.9


@pytest.mark.slow
def test_a_day_is_served_with_prices_that_move(tmp_path):
    """The first day: the budget is held to the unit, and spent, at a price that was found within the day."""
    days = []
    shop, arms, pmfs = served(1, 0, told=days.append)
    spent = np.array([COSTS[arms[shop.first[h] : shop.first[h + 1]]].sum() for h in range(24)])
    assert 0.98 * pacing.BUDGET < spent.sum() <= pacing.BUDGET
    assert spent[-6:].sum() > 100, "the evening has its part"
    assert 0.05 < days[0]["prices"]["spend"] < 0.2
    assert len(arms) == len(pmfs) == len(shop.scores)
    np.testing.assert_allclose(pmfs.sum(axis=1), 1, atol=1e-9)


if __name__ == "__main__":
    served(int(sys.argv[1]), int([*sys.argv, 0][2]), told=lambda day: print(json.dumps(day), flush=True))
