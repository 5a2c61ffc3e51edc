"""The simulation's shop through the served path: Embedded, its log, the join, the controller, prices, and back.

The policy is LinTS, learnt from a uniform log of as many rows as the simulation's scores; spend, floor and parity are those
of `croupier simulate pacing`, declared in app.toml. Looks are an hour apart, and an hour's requests come as one batch.
"""

import tempfile
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

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
from croupier.models.simulation.pacing_policy import FLOOR, TOLERANCE
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


@dataclass(eq=False)
class ServedDays:
    """A shop's days as they were served: `arms` (T,) that were drawn, `pmfs` (T, K), `prices` at the end of each day;
    `x` (T, 6) who asked; the `release` that decided, and what its arms use of each constraint."""

    shop: PacedShop
    x: Any
    arms: Any
    pmfs: Any
    prices: list
    release: Any
    usages: Any

    @property
    def spent(self):
        """(days, 24): what each hour's arms cost."""
        return np.add.reduceat(COSTS[self.arms], self.shop.first[: 24 * len(self.prices)]).reshape(-1, 24)

    @property
    def opportunity(self):
        """True if groups are alike among those whom offers of kind 2 suit."""
        return any(usage.by == "opportunities" for usage in self.usages.values())

    def kept(self, after=0):
        """What was kept from the decision `after` on."""
        rows = slice(after, len(self.arms))
        return kept_of(self.shop, self.pmfs[rows], rows)


def suiting(shop, pmf, rows):
    """(n,) the chance of a sale by an offer of kind 2, of those that the pmf (n, K) would show: whom they suit."""
    mine = CATEGORY == 2
    mass = (pmf * mine).sum(axis=1)
    shown = np.where(mass[:, None] > 0, pmf / np.maximum(mass, 1e-12)[:, None], 1 / mine.sum()) * mine
    return (shown * shop.means[rows]).sum(axis=1)


def kept_of(shop, pmf, rows):
    """The floor's share, and the gaps of kind 2 between the groups: of all requests, and of those whom it suits, in
    truth."""
    group, kind_2 = shop.group[rows], pmf @ (CATEGORY == 2)
    every, suited = (
        np.subtract(*[np.average(kind_2[group == g], weights=weight[group == g]) for g in (0, 1)])
        for weight in (np.ones(len(group)), suiting(shop, pmf, rows))
    )
    return {
        "floor_share": float((pmf @ (CATEGORY == 1)).mean()),
        "parity_gap": float(abs(every)),
        "opportunity_gap": float(abs(suited)),
    }


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


def hour_of(app, hour, contexts, first, sells):
    """The decisions of an hour, what they sold (`sells(i, arm)`), and then a look, for which the hour before has been
    joined. Returns the arms drawn, and the probability of each."""
    w, at = app.host.w, BEGIN + hour * HOUR
    requests = [
        Request(unit_id=f"u{first + i}", context=each, arms=tuple(ARMS), event_id=f"r{first + i}")
        for i, each in enumerate(contexts)
    ]
    with clock.at(at + HOUR // 2):
        answers = app.select_batch(requests)
        arms = [[*ARMS].index(a.arm) for a in answers]
        sold = [a.event_id for i, a in enumerate(answers) if sells(first + i, arms[i])]
        app.reward_batch([{"event_id": event, "kind": "sale", "value": 1.0} for event in sold])
    with clock.at(at + HOUR + 60_000_000):
        build.collect("shop")
        if hour:
            start = from_us(at - HOUR)
            join_interval(w.store, w.spec.reward, start=start, end=start + timedelta(hours=1), now=clock.now())
        controller.move(w, now=clock.now())
        mirror(w.store, w.home)
        app.host.selector._prices._looked = -np.inf
    return arms, [a.pmf for a in answers]


def served(days, seed, *, toml=TOML, told=lambda day: None):
    """All days of a shop."""
    shop, x, truth = drawn(days, seed)
    arms, pmfs, prices, luck = [], [], [], np.random.default_rng([seed, 3]).random(len(x))
    with tempfile.TemporaryDirectory() as var, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", var)
        patch.setenv("CROUPIER_DURABILITY", "NORMAL")
        with Embedded.declared("shop", toml=toml, arms=ARMS, var=var) as app:
            taught(app, truth, seed)
            release, usages = app.host.selector.release, controller.declared(app.host.w.store)
            for hour in range(days * 24):
                first = shop.first[hour]
                asked = [context(x[i]) for i in range(first, shop.first[hour + 1])]
                made = hour_of(app, hour, asked, first, lambda i, arm: luck[i] < shop.means[i, arm])
                arms += made[0]
                pmfs += made[1]
                if hour % 24 == 23:
                    prices.append(dict(kept_multipliers.now(app.host.w.store).multipliers.prices))
                    told({"day": len(prices), "prices": prices[-1]})
    return ServedDays(shop, x, np.array(arms), np.array(pmfs), prices, release, usages)
