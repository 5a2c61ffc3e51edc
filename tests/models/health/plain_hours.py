"""Hourly figures of a small shop, drawn directly: three arms, two devices, two hosts, a day and a weekend; and what is
wrong with them from some hour on."""

import numpy as np

from croupier.features.health import sketch
from croupier.features.utc import HOUR, hour_name

START = 1_790_000_000_000_000 // (7 * 24 * HOUR) * (7 * 24 * HOUR)
ARMS, DEVICES, HOSTS = ("a", "b", "c"), ("phone", "tv"), ("h1", "h2")
RATE = {"a": 0.10, "b": 0.14, "c": 0.18}


def hour(
    t,
    rng,
    *,
    n=900,
    lost=0.0,
    arm_rates=(),
    device_rates=(),
    cell_rates=(),
    age=1.0,
    frozen=False,
    swapped=False,
    renamed=False,
    top=4,
    slower=1.0,
    entropy=0.8,
    skew=0.0,
    late=0.0,
    weekend_rate=1.3,
    day=0.2,
    range_=(0.0, 1.0),
    gone=(),
    chosen=(),
):
    """One hour's figures. Rewards are 0 or 1, then moved to `range_`. `gone`: arms that are not on offer; `chosen`: how
    much more often than the others an arm is chosen."""
    weekend = (t // 24 + 3) % 7 >= 5
    level = (weekend_rate if weekend else 1.0) * (1 + day * np.sin(t / 24 * 2 * np.pi))
    n = int(rng.poisson(n * (0.6 if weekend else 1.1)))
    arm, device = rng.integers(3, size=n), (rng.random(n) < 0.3).astype(int)
    share = np.array([0.0 if a in gone else dict(chosen).get(a, 1.0) for a in ARMS])
    if gone or chosen:
        arm = rng.choice(3, size=n, p=share / share.sum())
    p = np.array([RATE[a] for a in ARMS])[arm] * level * (1 - lost)
    p = p * np.array([dict(arm_rates).get(a, 1.0) for a in ARMS])[arm]
    p = p * np.array([dict(device_rates).get(d, 1.0) for d in DEVICES])[device]
    p = p * np.array([[dict(cell_rates).get((d, a), 1.0) for a in ARMS] for d in DEVICES])[device, arm]
    won = rng.random(n) < p
    low, high = range_
    r = low + (high - low) * won

    def sums(where):
        return [float(where.sum()), float(r[where].sum()), float((r[where] ** 2).sum()), float(won[where].sum())]

    names = [d if not (renamed and d == "tv") else "television" for d in DEVICES]
    ages = np.full(n, 31.0) if frozen else rng.normal(38, 10, n).clip(13) * age
    depth = rng.geometric(0.3, n).astype(float)
    ages, depth = (depth, ages) if swapped else (ages, depth)
    delays = np.exp(rng.normal(4.0, 1.0, int(won.sum()))) * slower
    rewards = len(delays)
    return {
        "hour": hour_name(START + t * HOUR), "n": n,
        "account": {"decisions_in": n, "rewards_in": rewards, "on_time": rewards, "late": int(late * rewards)},
        "groups": {
            "all": {"": sums(arm >= 0)}, "release": {"3": sums(arm >= 0)}, "role": {"champion": sums(arm >= 0)},
            "arm": {a: sums(arm == k) for k, a in enumerate(ARMS) if a not in gone},
            "segment": {f"device={names[k]}": sums(device == k) for k in range(2)},
            "cell": {f"device={names[k]}|{a}": sums((device == k) & (arm == j)) for k in range(2)
                     for j, a in enumerate(ARMS) if a not in gone},
        },
        "explore": {"n": n, "entropy": n * (entropy + rng.normal(0, 0.005)), "greedy": n // 2, "floor": 0.1,
                    "inverse": float(n), "lift": [0.0, 0.02 * n, float(r.sum())], "odd": 0,
                    "arms": {a: [n, n * share[k] / share.sum()] for k, a in enumerate(ARMS) if a not in gone}},
        "delay": {"bins": sketch.counted(delays), "log": sketch.moments(np.log(delays)), "before": 0},
        "hosts": {h: {"n": n // 2, "rewarded": rewards // 2, "delay": 55.0 + rng.normal(0, 3), "lag": 0.01 * rng.normal()
                      + (skew if h == "h2" else 0.0)} for h in HOSTS},
        "unit": {"top": float(rng.poisson(top) + 1), "units": n // 2, "squares": 3.0 * n},
        "features": {
            "context.age": numeric(ages), "context.depth": numeric(depth),
            "context.device": {"type": "categorical", "n": n, "missing": 0, "others": 0,
                               "bins": {names[k]: int((device == k).sum()) for k in range(2)}},
        },
    }  # fmt: skip


def numeric(x):
    return {"type": "numeric", "n": len(x), "missing": 0, "others": 0, "bins": sketch.counted(x), "reward": [0.0] * 6}


def hours(days, seed, wrong=None, *, last=24, **made):
    """So many days; the last hours with what is wrong."""
    rng = np.random.default_rng(seed)
    T = days * 24
    return [hour(t, rng, **made, **((wrong or {}) if t >= T - last else {})) for t in range(T)]
