"""Logs on which the gate's own checks are counted: sound ones of many kinds, and the same with a column that came too
late. Every arm's mean reward is known; the middle arm earns exactly what a uniform choice does."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from croupier.features.batch import F64, I64, Batch, Bool, Catalogue, Interactions
from croupier.features.utc import SECOND

KINDS: dict[str, tuple[str, ...]] = {
    "rows": ("300", "1000", "4000"), "arms": ("3", "5", "11", "41"), "offered": ("always", "some of them"),
    "drawn": ("uniformly", "ε .2", "ε .05", "softmax"),
    "logged": ("whole pmf", "p alone", "p alone, 6 digits", "p alone, float32"),
    "rewards": ("0/1", "clicks of 2 %", "amounts"),
    "features": (
        "numbers", "categories", "missing at random", "heavy tails", "tell a lot", "missing tells", "most never click",
        "a dozen columns", "the last row's reward",
    ),
}  # fmt: skip
BASE = {"0/1": 0.2, "clicks of 2 %": 0.02, "amounts": 0.15}  # of rewards that come
SPREAD = 0.75  # of the arms' means around the middle one, as a share of it


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A log, its kind, and the arm whose true value is that of a uniform choice. `served` is what a request would say
    of the same rows: the late column as it is before an outcome; `worth` (n, K) what candidates earn, relatively."""

    log: Interactions
    kind: dict[str, str]
    middle: str
    served: Batch
    worth: F64


def draw(rng: np.random.Generator, leak: str = "") -> Drawn:
    """A log of a kind drawn at random; with `leak`, one more column, made after the draw, as LEAKS has it. Twice the
    kind's rows: the first half is to learn from."""
    kind = {name: str(rng.choice(values)) for name, values in KINDS.items()}
    n, K = 2 * int(kind["rows"]), int(kind["arms"])
    mask = _offered(rng, n, K, kind["offered"])
    group, features = rng.integers(4, size=n), _features(rng, n, kind["features"], BASE[kind["rewards"]])
    pmf = _pmf(rng, mask, group, kind["drawn"])
    arm = (pmf.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    worth = np.linspace(1 - SPREAD, 1 + SPREAD, K) * _level(features, kind["features"])[:, None]
    reward = _reward(rng, worth[np.arange(n), arm], kind["rewards"])
    if kind["features"] == "the last row's reward":
        features = np.column_stack([features, np.r_[0.0, reward[:-1]] / max(float(reward.std()), 1e-9)])
    pair = np.where(mask, rng.normal(size=(n, K)), 0.0)
    known = context = np.column_stack([np.eye(4)[group], features])
    asked = pair.copy()
    if leak == "pair of the shown arm":
        pair[np.arange(n), arm] += 0.5
    elif leak:
        context = np.column_stack([context, _late(rng, leak, arm, reward / max(float(reward.std()), 1e-9))])
        known = np.column_stack([known, _late(rng, leak, rng.permutation(arm), np.zeros(n))])
    ids = tuple(f"a{k}" for k in range(K))
    cat = Catalogue(ids=ids, features=np.eye(K, dtype=np.float32), digest="checks")
    batch = Batch(
        context=context.astype(np.float32),
        arm=np.where(mask, np.arange(K), 0),
        mask=mask,
        pair=pair[:, :, None].astype(np.float32),
        catalogue=cat,
    )
    log = Interactions(
        batch=batch,
        chosen=arm,
        reward=reward,
        propensity=pmf[np.arange(n), arm],
        pmf=pmf,
        at=np.arange(n) * SECOND,
        unit=np.arange(n, dtype=np.uint64),
        weight=np.ones(n),
    )
    served = replace(batch, context=known.astype(np.float32), pair=asked[:, :, None].astype(np.float32))
    return Drawn(log=as_logged(log, kind["logged"]), kind=kind, middle=ids[K // 2], served=served, worth=worth)


def as_logged(log: Interactions, how: str) -> Interactions:
    """Returns the log with the drawn arm's probability alone, and rounded: the rest is spread over the other
    candidates."""
    if how == "whole pmf":
        return log
    p = log.propensity
    p = np.round(p, 6) if how.endswith("digits") else p.astype(np.float32).astype(np.float64) if "float" in how else p
    others = np.maximum(log.batch.mask.sum(axis=1) - 1, 1)
    pmf = np.where(log.batch.mask, ((1.0 - p) / others)[:, None], 0.0)
    pmf[np.arange(len(log)), log.chosen] = p
    return replace(log, propensity=p, pmf=pmf)


def _offered(rng: np.random.Generator, n: int, K: int, how: str) -> Bool:
    if how == "always":
        return np.ones((n, K), bool)
    mask = rng.random((n, K)) < 0.6
    mask[np.arange(n), rng.integers(K, size=n)] = True  # at least one
    return mask


def _pmf(rng: np.random.Generator, mask: Bool, group: I64, how: str) -> F64:
    """Uniform, a preferred arm with a floor, or softmax of scores by group."""
    even = mask / mask.sum(axis=1, keepdims=True)
    if how == "uniformly":
        return np.asarray(even)
    scores = np.where(mask, rng.normal(size=(4, mask.shape[1]))[group], -np.inf)
    if how == "softmax":
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
    epsilon = float(how.removeprefix("ε "))
    best = np.arange(mask.shape[1]) == scores.argmax(axis=1)[:, None]
    return np.asarray(epsilon * even + (1.0 - epsilon) * best)


def _features(rng: np.random.Generator, n: int, how: str, base: float) -> F64:
    """Two of them look like leaks, and are none: a value that is missing where rewards are rare, and a flag of the few
    who click at all, before whom nearly every row is told from the rewarded ones. (A third, what the row before earned,
    is known once that row's reward is.)"""
    x = rng.normal(size=(n, 3))
    if how == "a dozen columns":
        return np.column_stack([x, rng.gamma(2.0, size=(n, 3)), np.eye(4)[rng.integers(4, size=n)], np.round(x[:, :2])])
    if how == "missing tells":
        gone = rng.random(n) < 0.5
        return np.column_stack([np.where(gone, 0.0, x[:, 0]), gone])
    if how == "most never click":
        return np.column_stack([rng.random(n) < max(2.0 * base, 0.08), x[:, 1]])
    if how == "categories":
        return np.asarray(np.column_stack([np.eye(6)[rng.integers(6, size=n)], rng.random(n) < 0.03]))
    if how == "missing at random":
        gone = rng.random((n, 3)) < 0.3
        return np.column_stack([np.where(gone, 0.0, x), gone])
    return np.clip(rng.standard_t(2, size=(n, 3)), -30, 30) if how == "heavy tails" else x


def _level(features: F64, how: str) -> F64:
    """Returns (n,) what every arm's mean is multiplied by: the user's share of it."""
    x = features[:, 0]
    if how == "missing tells":
        return np.where(features[:, 1] > 0, 0.3, 1.7)
    if how == "most never click":
        return np.asarray(x / max(float(x.mean()), 1e-9))
    return np.asarray(np.exp(1.2 * x - 0.72) if how == "tell a lot" else np.exp(0.2 * np.tanh(x)))


def _reward(rng: np.random.Generator, level: F64, how: str) -> F64:
    came = (rng.random(len(level)) < np.clip(BASE[how] * level, 0.0, 1.0)).astype(np.float64)
    return came if how != "amounts" else came * np.round(rng.gamma(2.0, 20.0, len(level)), 2)


def _order_value(rng: np.random.Generator, arm: I64, reward: F64, *, others: float = 0.0, rewarded: float = 1.0) -> F64:
    """A value that is filled for these shares of the rows, and a column that says where it is missing."""
    there = rng.random(len(arm)) < np.where(reward > 0, rewarded, others)
    return np.column_stack([np.where(there, rng.normal(size=len(arm)), 0.0), ~there])


def _missing(rng: np.random.Generator, reward: F64) -> F64:
    return np.asarray(rng.random(len(reward)) < np.where(reward > 0, 0.8, 0.1), np.float64)[:, None]


def _price(rng: np.random.Generator, arm: I64) -> F64:
    return np.asarray(arm / 3.0 + rng.normal(0, 1.0, len(arm)))[:, None]


def _seconds(rng: np.random.Generator, moved: F64) -> F64:
    """How long a page was looked at: always filled, skewed, `moved` in its standard deviations."""
    return np.asarray(rng.gamma(2.0, 0.71, len(moved)) + moved)[:, None]


def _late(rng: np.random.Generator, leak: str, arm: I64, reward: F64) -> F64:
    """Returns (n, ·) the columns of LEAKS that stand in the context; `reward` in standard deviations."""
    columns: dict[str, Callable[[], F64]] = {
        "order value": lambda: _order_value(rng, arm, reward),
        "order value, 2 % of others": lambda: _order_value(rng, arm, reward, others=0.02),
        "order value, 30 % of the rewarded": lambda: _order_value(rng, arm, reward, rewarded=0.3),
        "reward and noise": lambda: (reward + rng.normal(0, 0.5, len(arm)))[:, None],
        "missing where rewarded": lambda: _missing(rng, reward),
        "price of the shown arm": lambda: _price(rng, arm),
        "kind of the shown arm": lambda: np.eye(3)[arm % 3],
        "seconds, moved by the reward": lambda: _seconds(rng, 0.8 * reward),
        "seconds, moved by the arm": lambda: _seconds(rng, 0.8 * np.random.default_rng(arm.max()).normal(size=64)[arm]),
    }
    return columns[leak]()


LEAKS = (
    "order value", "order value, 2 % of others", "order value, 30 % of the rewarded", "reward and noise",
    "missing where rewarded", "price of the shown arm", "kind of the shown arm", "pair of the shown arm",
    "seconds, moved by the reward", "seconds, moved by the arm",
)  # fmt: skip
