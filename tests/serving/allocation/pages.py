"""An app that allocates: questions about pages of a few patches, an option of tokens for each."""

import dataclasses
import random

import numpy as np
import polars as pl

from croupier import Embedded
from croupier.features.arrow import INTERACTIONS
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.log.spool_rows import decision
from croupier.models.bayesian.linear import LinTS
from croupier.serving.operate import verdict_release

TOML = """
[reward]
window_seconds = 2.0
range = [0, 1]
[reward.kinds.right]
[context.question]
type = "categorical"
[context.shows]
type = "categorical"
[arm.tokens]
type = "numeric"
[[interactions]]
a = "context.question"
b = "context.shows"
[policies]
candidates = ["lin_ts"]
floor = 0.1
[allocation]
total = 450
[allocation.costs]
none = 0
few = 100
many = 400
"""
OPTIONS = {"none": {"tokens": 0}, "few": {"tokens": 1}, "many": {"tokens": 4}}
COSTS = {"none": 0.0, "few": 100.0, "many": 400.0}


def opened(var, *, toml=TOML):
    return Embedded.declared("pages", toml=toml, arms=OPTIONS, var=var)


def asked(rng, *, items=3, **more):
    """The arguments of one request to allocate."""
    shows = [{"id": f"p{i}", "features": {"shows": rng.choice(["colour", "text"])}} for i in range(items)]
    return {
        "unit_id": f"u{rng.randrange(10**6)}",
        "context": {"question": rng.choice(["colour", "text"])},
        "items": shows,
    } | more


def decisions(app):
    """What is on record."""
    return [decision(body) for _, body in app.host.spool.read("decisions", limit=10**6)]


def interactions(rows, rewards):
    """Decisions with a reward each, as the join writes them."""
    made = [
        d.to_row() | {"reward": r, "reward_count": 1, "reward_at": d.at} for d, r in zip(rows, rewards, strict=True)
    ]
    return pl.DataFrame(made, schema=pl.from_arrow(INTERACTIONS.empty_table()).schema)


def worth(d):
    """What an item earns: tokens where the patch shows what is asked."""
    return 0.1 + 0.1 * OPTIONS[d.arm]["tokens"] * (d.context["question"] == d.context["shows"])


def learnt(app, *, requests=120, seed=1, draws=24, whole=False):
    """A policy that has learnt what the app's random allocations earned, and the encoder of its columns."""
    rng = random.Random(seed)
    for i in range(requests):  # named: what is drawn is the same in every run
        app.allocate(**asked(rng), event_id=f"lesson-{seed}-{i}")
    rows = decisions(app)
    rewards = [worth(d) for d in rows]
    if whole:
        of = {d.event_id: r for d, r in zip(rows, rewards, strict=True)}
        rewards = [sum(of[f"{d.event_id.rpartition('/')[0]}/{i}"] for i in range(3)) / 3 for d in rows]
    log, w = interactions(rows, rewards), app.host.w
    encoder = Encoder.fit(w.spec, log, w.arms())
    found = encode_interactions(log, encoder, encoder.catalogue(w.arms()))
    noisy = dataclasses.replace(found, reward=found.reward + 0.2 * np.random.default_rng(3).normal(size=len(found)))
    return LinTS(draws=draws).learn([noisy], seed=3), encoder


def published(app, champion, encoder, candidate=None):
    """Serves these policies."""
    w = app.host.w
    verdict_release.release_policies(
        w, champion=champion, candidate=candidate, encoder=encoder, arms=w.arms(), meta={"verdict": "test"}
    )
    app.host.look()
