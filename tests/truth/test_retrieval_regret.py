"""Contextual regret of a shortlist beside a full scan of all arms, by LinTS learning online, on a world of known truth.

An arm's mean reward is linear in the products of a request's and an arm's features, xᵀMa, and M is not the identity that the
index believes in: the shortlist misses some of the best arms, and asks less of what is to be learnt.

    python -m tests.truth.test_retrieval_regret          # 10,000 arms, three seeds: the table of models/retrieval/README.md
"""

import sys

import numpy as np
import pytest

pytest.importorskip("faiss", reason="the extra `retrieval`")

from croupier.features.batch import Batch, Catalogue
from croupier.models.bayesian.linear import LinTS
from croupier.models.exploration import with_floor
from croupier.models.retrieval.arm_index import ArmIndex
from croupier.models.retrieval.shortlist import shortlist
from tests.models.retrieval.learnt import log_of

D, BATCH = 6, 100
WAYS = ("full scan", "shortlist", "random list")


def world(arms, seed):
    """Features of arms (A, D), and M (D, D)."""
    rng = np.random.default_rng([seed, 0])
    return rng.normal(size=(arms, D)).astype(np.float32), np.eye(D) + 0.3 * rng.normal(size=(D, D))


def listed(way, index, context, first, rng):
    """The rows of the arms that requests (n, D) are decided among."""
    if way == "full scan":
        return np.tile(np.arange(len(index)), (len(context), 1))
    if way == "random list":
        return np.array([rng.choice(len(index), 100, replace=False) for _ in context])
    top = index.search(context, 90)
    return np.array([shortlist(t, len(index), 10, salt="s", event_id=f"e{first + i}").rows for i, t in enumerate(top)])


def regret(way, *, arms, requests, seed):
    """The mean regret of the second half of the requests; those before are what was learnt from, a batch at a time."""
    features, m = world(arms, seed)
    catalogue = Catalogue(ids=tuple(map(str, range(arms))), features=features, digest="")
    index, rng, log, lost = ArmIndex.of(features), np.random.default_rng([seed, 1]), [], []
    policy = LinTS(draws=64)
    for first in range(0, requests, BATCH):
        context = np.random.default_rng([seed, 2, first]).normal(size=(BATCH, D)).astype(np.float32)
        rows, value = listed(way, index, context, first, rng), context @ m @ features.T
        if log:
            pmf = np.concatenate(
                [_pmf(policy, context[i : i + 5], rows[i : i + 5], catalogue) for i in range(0, BATCH, 5)]
            )
        else:
            pmf = np.full(rows.shape, 1 / rows.shape[1])
        drawn = (pmf.cumsum(axis=1) > rng.random(BATCH)[:, None] * (1 - 1e-12)).argmax(axis=1)
        arm, each = rows[np.arange(BATCH), drawn], np.arange(BATCH)
        lost.append(value.max(axis=1) - value[each, arm])
        log.append((context, arm, value[each, arm] + rng.normal(0, 1.0, BATCH)))
        whole = log_of(*(np.concatenate(part) if i != 1 else catalogue for i, part in _columns(log)))
        policy = LinTS(draws=64).learn([whole], seed=seed)
    return float(np.concatenate(lost[len(lost) // 2 :]).mean())


def _columns(log):
    """(0, contexts), (1, None), (2, arms), (3, rewards): what `log_of` is given, the catalogue in the second place."""
    contexts, arms, rewards = zip(*log, strict=True)
    return enumerate([contexts, None, arms, rewards])


def _pmf(policy, context, rows, catalogue):
    pair, mask = np.zeros((*rows.shape, 0), np.float32), np.ones(rows.shape, dtype=bool)
    return with_floor(
        policy.pmf(Batch(context=context, arm=rows, mask=mask, pair=pair, catalogue=catalogue)), mask, 0.02
    )


@pytest.mark.slow
def test_a_shortlist_loses_no_more_than_a_full_scan():
    found = {way: regret(way, arms=600, requests=500, seed=0) for way in WAYS}
    assert found["shortlist"] < 1.2 * found["full scan"]
    assert found["random list"] > 1.3 * found["shortlist"], "a list that retrieves nothing would be seen"


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_ten_thousand_arms():
    found = {way: np.mean([regret(way, arms=10_000, requests=2_000, seed=s) for s in range(2)]) for way in WAYS}
    assert found["shortlist"] < 1.2 * found["full scan"]
    assert found["random list"] > 1.5 * found["shortlist"]


if __name__ == "__main__":
    for seed in range(int([*sys.argv, 3][1])):
        print(seed, {way: round(regret(way, arms=10_000, requests=2_000, seed=seed), 3) for way in WAYS}, flush=True)
