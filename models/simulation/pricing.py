"""What is earned while prices are learnt: demand that falls with the price, demand in no order, and prices as any arms.

Guests of features/worlds/rates.py come one after another; a policy learns all rounds so far again whenever they have
grown by a quarter. Counted is the regret: what the best rate of each guest would have earned, less what the drawn one
does, both in truth. `croupier simulate pricing --seeds 20 --json pricing.json --page models/pricing/README.md`.
"""

import tomllib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from croupier.features.batch import F64, Batch, Catalogue, Interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.spec import AppSpec
from croupier.features.worlds.rates import COST, RATES, Hotel
from croupier.models.bayesian.threads import one_thread
from croupier.models.policy import Policy, make
from croupier.models.pricing import amounts

ROUNDS, FIRST, GROWTH = 5_000, 50, 1.25
LOOKS = (500, 2_000, ROUNDS)  # rounds by which regret is told
FLOOR = 0.02  # as app.toml has it
MARK = "pricing"
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "`demand_ts`: demand falls with the price": ("demand_ts", {}),
    "the same, `monotone = false`": ("demand_ts", {"monotone": False}),
    '`lin_ts`, `heads = "hybrid"`: rates are any arms': ("lin_ts", {"heads": "hybrid"}),
    '`demand_ts`, `heads = "per_arm"`': ("demand_ts", {"heads": "per_arm"}),
    '`lin_ts`, `heads = "per_arm"`': ("lin_ts", {"heads": "per_arm"}),
    '`demand_ts`, `heads = "per_arm"`, `prior = "binary"`': ("demand_ts", {"heads": "per_arm", "prior": "binary"}),
    '`lin_ts`, `heads = "per_arm"`, `prior = "binary"`': ("lin_ts", {"heads": "per_arm", "prior": "binary"}),
    "`lin_ts`, one head, profit linear in the price": ("lin_ts", {}),
    "`vw_cb_adf`, `squarecb`": ("vw_cb_adf", {"reward_range": (0.0, 175.0)}),
    "`uniform`": ("uniform", {}),
}


@cache
def _encoded(seed: int) -> tuple[Encoder, Catalogue]:
    """The hotel's encoder, fitted on a few uniform rounds, and its rates."""
    hotel = Hotel(seed=seed)
    spec = AppSpec.model_validate(tomllib.loads(hotel.app_toml()))
    encoder = Encoder.fit(spec, hotel.interactions(300), hotel.arms())
    return encoder, encoder.catalogue(hotel.arms())


def untrained(name: str, seed: int) -> Policy:
    """A contender, before the first guest of this hotel."""
    policy, parameters = CONTENDERS[name]
    spec = AppSpec.model_validate(tomllib.loads(Hotel(seed=seed).app_toml()))
    return make(policy, **(amounts.parameters(policy, _encoded(seed)[0], spec.pricing) | parameters))


def regret(name: str, seed: int, rounds: int = ROUNDS) -> F64:
    """(rounds,): what each round lost beside the best rate of its guest, in money."""
    hotel, (encoder, catalogue) = Hotel(seed=seed), _encoded(seed)
    rng = np.random.default_rng([seed, 2])
    contexts = hotel.guests(rounds, rng)
    worth, demand, luck = hotel.profit(contexts), hotel.demand(contexts), rng.random((2, rounds))
    batch = encoder.encode(contexts, [catalogue.ids] * rounds, [()] * rounds, catalogue)
    policy, log, lost, t = untrained(name, seed), list[Interactions](), np.zeros(rounds), 0
    while t < rounds:
        rows = slice(t, min(rounds, max(FIRST, int(t * GROWTH))))
        played = _played(policy, batch[rows], demand[rows], luck[:, rows])
        lost[rows] = worth[rows].max(axis=1) - worth[rows][np.arange(len(played)), played.chosen]
        log, t = [*log, played], rows.stop
        with one_thread():
            policy = untrained(name, seed).learn(log, seed=seed)
    return lost


def _played(policy: Policy, batch: Batch, demand: F64, luck: F64) -> Interactions:
    """Rounds that the policy decides, with a floor; `luck` (2, n) draws rates and bookings."""
    n, K = batch.mask.shape
    pmf = (1 - FLOOR) * policy.pmf(batch) + FLOOR / K
    chosen = np.minimum((pmf.cumsum(axis=1) < luck[0][:, None]).sum(axis=1), K - 1)
    booked = luck[1] < demand[np.arange(n), chosen]
    return Interactions(
        batch=batch,
        chosen=chosen,
        reward=np.where(booked, np.array(RATES)[chosen] - COST, 0.0),
        propensity=pmf[np.arange(n), chosen],
        pmf=pmf,
        at=np.arange(n),
        unit=np.arange(n).astype(np.uint64),
        weight=np.ones(n),
    )


def count(
    *, seeds: int, first: int = 0, rounds: int = ROUNDS, step: Callable[[int], object] = lambda _: None
) -> dict[str, Any]:
    """The mean regret a guest of each contender by each look, with its standard error over hotels; and the gains of
    demand that falls over demand in no order, paired by hotel. `step` is called with 1 after each run."""
    looks = [look for look in LOOKS if look < rounds] + [rounds]
    found: dict[str, list[list[float]]] = {name: [] for name in CONTENDERS}
    for seed in range(first, first + seeds):
        for name in CONTENDERS:
            lost = regret(name, seed, rounds)
            found[name].append([float(lost[:look].mean()) for look in looks])
            step(1)
    falls, free, plain = (np.array(found[name]) for name in list(CONTENDERS)[:3])
    return {
        "seeds": seeds,
        "rounds": rounds,
        "looks": looks,
        "regret": {name: _told(np.array(rows)) for name, rows in found.items()},
        "saved_by_order": _told(free - falls),
        "saved_beside_plain_arms": _told(plain - falls),
        "best_rate_earns": float(np.mean([_best(seed) for seed in range(first, first + seeds)])),
        "rows": found,
    }


def _best(seed: int) -> float:
    """What the best rate of each guest earns, in the mean of a hotel."""
    hotel = Hotel(seed=seed)
    return float(hotel.profit(hotel.guests(5_000, np.random.default_rng([seed, 3]))).max(axis=1).mean())


def _told(rows: F64) -> dict[str, list[float]]:
    """Means over hotels (n, looks), and their standard errors."""
    error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.zeros(rows.shape[1])
    return {"mean": rows.mean(axis=0).tolist(), "se": error.tolist()}


def markdown(found: dict[str, Any]) -> str:
    """The table of regrets."""
    looks = " | ".join(f"by guest {look:,}" for look in found["looks"])
    best = f"who bring {found['best_rate_earns']:.1f} each at their best rates"
    lines = [
        f"{found['seeds']} hotels, {found['rounds']:,} guests each, {best}. Regret a guest, in money, ± its error:",
        "",
        f"| | {looks} |",
        "|---|" + "---|" * len(found["looks"]),
    ]
    for name, of in [*found["regret"].items(), ("saved by the order of prices", found["saved_by_order"])]:
        cells = (f"{mean:.2f} ± {se:.2f}" for mean, se in zip(of["mean"], of["se"], strict=True))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
