"""Rewards of a rollout's decisions with the luck of their contexts taken out, and the bets on their difference."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl

from croupier.features.batch import F64, Interactions
from croupier.features.declared.within import within
from croupier.features.encoding import inline_log
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.interactions.versions import latest_interactions
from croupier.features.schema import APPRENTICE
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import Store
from croupier.features.utc import from_us
from croupier.models.ope.reward_model import RewardModel
from croupier.serving.evidence import betting
from croupier.serving.evidence.comparison import Compared
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.rollout_state import RolloutState

MODEL_ROWS = 20_000  # earlier decisions that the reward model of DR is fitted on
MODEL_DAYS = 30


def reward_bets(rows: Compared, reward: RewardSpec, before: Interactions | None) -> betting.Bets:
    """Returns the bets on the doubly robust rewards; `before`: see `earlier`."""
    low, high = reward.range
    return betting.bets(rows.assigned, rows.share, scores(rows, reward, before), rows.log.unit, width=high - low)


def scores(rows: Compared, reward: RewardSpec, before: Interactions | None) -> F64:
    """Returns (n,) the doubly robust reward of each decision, of rewards clipped to their declared range."""
    return doubly_robust(_cut(rows.log, reward), None if before is None else _cut(before, reward))


def late_counted(rows: Compared, found: F64, reward: RewardSpec) -> F64:
    """Returns the scores `found` as they would be if what came too late had been on time."""
    late = rows.frame["late_reward"].to_numpy()
    return np.asarray(found + within(rows.log.reward + late, reward.range) - within(rows.log.reward, reward.range))


def _cut(log: Interactions, reward: RewardSpec) -> Interactions:
    """The log with its rewards clipped to the declared range: one of 10⁶ must not outweigh all clicks."""
    return replace(log, reward=within(log.reward, reward.range))


def doubly_robust(log: Interactions, earlier: Interactions | None) -> F64:
    """Returns (n,) Σ_a p(a|x) q̂(x,a) + (r − q̂(x,A)) − (h(x) − h̄): the logged policy's DR value of each decision,
    less what its context alone would let expect (h: the mean q̂ of its candidates, h̄ the same before the rollout).

    q̂ comes from decisions before the rollout, so it is fixed in advance; either role's mean is unbiased, whatever q̂
    is worth. Without earlier decisions: the reward itself.
    """
    if earlier is None or np.all(earlier.reward == earlier.reward[0]):
        return log.reward
    model = RewardModel.fit(earlier)
    q, usual = model.predict(log.batch), float(_candidates_mean(model.predict(earlier.batch), earlier).mean())
    chosen = q[np.arange(len(log)), log.chosen]
    return np.asarray((log.pmf * q).sum(axis=1) + log.reward - chosen - (_candidates_mean(q, log) - usual))


def _candidates_mean(q: F64, log: Interactions) -> F64:
    return np.asarray(np.where(log.batch.mask, q, 0.0).sum(axis=1) / log.batch.mask.sum(axis=1))


def earlier(store: Store, state: RolloutState, release: LoadedRelease) -> Interactions | None:
    """The last joined decisions before the rollout that this release's catalogue knows; None: too few to learn from."""
    began = state.history[0]["at"]
    rows = release.catalogue.row
    known = pl.col("arms").list.eval(pl.element().is_in(list(rows))).list.all() | inline_log.HAS
    days = from_us(began) - timedelta(days=MODEL_DAYS), from_us(began)
    ours = (pl.col("at") < began) & (pl.col("role") != APPRENTICE)
    frame = latest_interactions(store, *days, where=ours & known, rows=MODEL_ROWS)
    frame = frame.filter(pl.Series([rows.keys() >= set(arms) for arms in inline_log.listed(frame)], dtype=pl.Boolean))
    return encode_interactions(frame, release.encoder, release.catalogue) if len(frame) >= 1000 else None
