"""A world of news: arms live for one batch of requests and never come again, and readers like a topic each."""

from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.serving.contract.requests import Request
from croupier.serving.release.bundle import LoadedRelease

TOML = """
[reward]
window_seconds = 1.0
[reward.kinds.click]
[arms]
source = "both"
[context.reader]
type = "categorical"
[arm.topic]
type = "categorical"
[arm.minutes]
type = "numeric"
[[interactions]]
a = "context.reader"
b = "arm.topic"
[policies]
candidates = ["lin_ts"]
[training]
min_rows = 200
adapt = false
"""
HOME = {"home": {"topic": "none", "minutes": 1.0}}  # the one arm of the catalogue
TOPICS = ("sport", "politics", "science")


def requests(batch: int, n: int = 100) -> list[Request]:
    """Readers of one batch, who are all shown the same three articles, beside the home page."""
    rng = np.random.default_rng([7, batch])
    articles: list[Any] = [
        {"id": f"article-{batch}-{i}", "features": {"topic": str(topic), "minutes": float(rng.integers(1, 9))}}
        for i, topic in enumerate(rng.permutation(TOPICS))
    ]
    readers = [str(rng.choice(TOPICS)) for _ in range(n)]
    return [
        Request(unit_id=f"u{batch}-{i}", context={"reader": reader}, arms=[*articles, "home"], event_id=f"e{batch}-{i}")
        for i, reader in enumerate(readers)
    ]


def truth(request: Request) -> F64:
    """(K,): the probability of a click on each arm."""
    topics = [arm["features"]["topic"] if isinstance(arm, dict) else "none" for arm in request.arms]
    return np.array([0.5 if topic == request.context["reader"] else 0.1 for topic in topics])


def offline(release: LoadedRelease, asked: list[Request], role: str) -> F64:
    """(B, K): the role's own answer to the same requests, through no selector."""
    names = [[arm["id"] if isinstance(arm, dict) else arm for arm in r.arms] for r in asked]
    given = [[arm["features"] if isinstance(arm, dict) else None for arm in r.arms] for r in asked]
    contexts, pairs = [r.context for r in asked], [()] * len(asked)
    return release.pmf(role, release.encoder.encode(contexts, names, pairs, release.catalogue, given))
