"""Requests like those that an encoder was fitted on, drawn feature by feature from what it kept of them: its profiles.

They stand for an app's requests where a release is made, and no log is at hand. The same encoder gives the same ones.
"""

from typing import Any

import numpy as np

from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.fitted import Fitted
from croupier.features.utc import WEEK_SECONDS

OTHER = "<other>"  # a category that no vocabulary has


def requests(encoder: Encoder, n: int) -> list[dict[str, Any]]:
    """Returns the contexts of n requests, their features independent of one another."""
    rng = np.random.default_rng(2)
    drawn = {f.name: _drawn(f, n, rng) for f in encoder.context.features}
    missing = {f.name: rng.random(n) < f.profile.missing for f in encoder.context.features}
    return [{name: of[i] for name, of in drawn.items() if not missing[name][i]} for i in range(n)]


def _drawn(f: Fitted, n: int, rng: np.random.Generator) -> list[Any]:
    """n values of a feature."""
    if f.type == "numeric":
        return list(_numbers(f, n, rng))
    if f.type == "categorical":
        words = np.array([*f.vocabulary, OTHER], np.object_)
        return list(words[rng.choice(len(words), n, p=_shares(f, len(words)))])
    if f.type == "tags":
        likely = np.array(f.profile.shares[: len(f.vocabulary)])
        lit = rng.random((n, len(likely))) < likely
        return [[word for word, there in zip(f.vocabulary, row, strict=True) if there] for row in lit.tolist()]
    if f.type == "embedding":
        return [row.tolist() for row in rng.standard_normal((n, f.length))]
    return list(rng.uniform(0, WEEK_SECONDS, n).tolist())  # a time: its hour and its weekday are what is encoded


def _numbers(f: Fitted, n: int, rng: np.random.Generator) -> Any:
    """Evenly within each gap between two deciles, of which each is as likely as it was."""
    edges = np.array([f.profile.low, *f.profile.cuts, f.profile.high])
    if not f.profile.shares:
        return np.full(n, f.mean).tolist()
    gap = rng.choice(len(f.profile.shares), n, p=_shares(f, len(f.profile.shares)))
    return rng.uniform(np.minimum(edges[gap], edges[gap + 1]), edges[gap + 1]).tolist()


def _shares(f: Fitted, n: int) -> Any:
    """(n,): the shares of a feature's profile; all alike where it has none."""
    shares = np.array(f.profile.shares)
    return shares / shares.sum() if len(shares) == n and shares.sum() > 0 else np.full(n, 1 / n)
