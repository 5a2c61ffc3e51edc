"""A shop whose arms have features and no embeddings, and policies that learnt what each kind of customer likes."""

import tomllib
from functools import cache

import numpy as np
import polars as pl
import pyarrow as pa

from croupier.features.arrow import INTERACTIONS
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import CHAMPION, Arm, Decision
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import START
from croupier.models.policy import make

TOML = """
[context.who]
type = "categorical"
[context.age]
type = "numeric"
[arm.kind]
type = "categorical"
[arm.colour]
type = "categorical"
[arm.price]
type = "numeric"
[arm.size]
type = "numeric"
[policies]
candidates = ["neural_linear"]
floor = 0.02
[retrieval]
learnt = true
top = 40
random = 10
"""
WHO, KINDS, COLOURS = list("abcd"), [f"k{i}" for i in range(12)], [f"c{i}" for i in range(8)]
ARMS = 3_000


@cache
def arms(n: int = ARMS) -> tuple[Arm, ...]:
    rng = np.random.default_rng(0)
    kind, colour = rng.integers(len(KINDS), size=n).tolist(), rng.integers(len(COLOURS), size=n).tolist()
    price, size = np.round(rng.lognormal(3, 1, n), 2).tolist(), np.round(rng.normal(size=n), 3).tolist()
    rows = zip(kind, colour, price, size, strict=True)
    return tuple(
        Arm(arm_id=f"x{i}", features={"kind": KINDS[k], "colour": COLOURS[c], "price": p, "size": s})
        for i, (k, c, p, s) in enumerate(rows)
    )


def contexts(n: int, seed: int) -> list[dict]:
    rng = np.random.default_rng([3, seed])
    return [{"who": WHO[rng.integers(len(WHO))], "age": float(rng.integers(-60, 60))} for _ in range(n)]


def chance(context: dict, arm: Arm) -> float:
    """Of a sale: curved in the price and the size, and of another taste for each kind of customer."""
    rng, who, f = np.random.default_rng(8), WHO.index(context["who"]), arm.features
    likes, colours, pays = rng.normal(size=(4, 12)), rng.normal(size=(4, 8)), rng.uniform(1.5, 5, 4)
    odds = likes[who, KINDS.index(f["kind"])] + 0.5 * colours[who, COLOURS.index(f["colour"])]
    odds -= 2 * abs(np.log(f["price"]) - pays[who]) + 0.8 * (f["size"] - context["age"] / 30) ** 2
    return float(1 / (1 + np.exp(-odds)))


@cache
def learnt(name: str = "neural_linear", n: int = ARMS, rows: int = 3_000):
    """(encoder, the policy learnt from uniform decisions among ten arms each)."""
    rng, there, logged = np.random.default_rng(1), arms(n), []
    for i, context in enumerate(contexts(rows, 0)):
        some = rng.choice(n, 10, replace=False).tolist()
        shown = there[some[0]]
        decision = Decision(
            event_id=f"e{i}",
            at=START + i,
            unit_id="0" * 32,
            context=context,
            arms=tuple(f"x{k}" for k in some),
            pmf=(0.1,) * 10,
            arm=shown.arm_id,
            propensity=0.1,
            policy="uniform",
            role=CHAMPION,
            release=0,
        )
        reward = float(rng.random() < chance(context, shown))
        logged.append(decision.to_row() | {"reward": reward, "reward_count": 1, "reward_at": START})
    table = pl.from_arrow(pa.Table.from_pylist(logged, schema=INTERACTIONS))
    encoder = Encoder.fit(AppSpec.model_validate(tomllib.loads(TOML)), table, there)
    log = encode_interactions(table, encoder, encoder.catalogue(there))
    return encoder, make(name).learn([log], seed=1)
