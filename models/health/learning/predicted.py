"""What a policy expected of the arm that was shown, in units of the reward; and its training loss, kept beside it.

    candidates/<key>/<policy>/loss.json    {"rows", "loss", "of_mean"}: the mean squared error on the latest rows that
                                           it learnt, and that of their own mean

Policies that learn by the squared error have such a prediction: those with a Bayesian head, its mean; VW's bilinear
ones, the range's upper end less their cost. Others (uniform, ensembles, counts by arm) have none here.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import orjson

from croupier.features.batch import F64, Interactions, concatenate
from croupier.features.store import layout
from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.heads import ArmHeads
from croupier.models.health.linear.failure import ROWS
from croupier.models.health.linear.kept import tail
from croupier.models.policy import Policy
from croupier.models.vw.policy import BilinearPolicy

BLOCK = 4096  # rows at once
LEAST = 2


@dataclass(frozen=True, kw_only=True)
class TrainingLoss:
    """The predictions' mean squared error on the latest `rows` that were learnt, and that of their mean reward."""

    rows: int
    loss: float
    of_mean: float


def expected(policy: Policy, log: Interactions) -> F64 | None:
    """Returns (n,) what the policy expected of each shown arm; None of a policy that predicts no reward."""
    if not _predicts(policy):
        return None
    blocks = [log[start : start + BLOCK] for start in range(0, len(log), BLOCK)]
    return np.concatenate([_expected(policy, block) for block in blocks]) if blocks else np.zeros(0)


def _predicts(policy: Policy) -> bool:
    if isinstance(policy, Bayesian):
        return policy.sizes is not None
    return isinstance(policy, BilinearPolicy) and policy.trained is not None


def _expected(policy: Policy, log: Interactions) -> F64:
    i = np.arange(len(log))
    if isinstance(policy, BilinearPolicy):
        low, high = policy.range
        shown = np.zeros_like(log.batch.mask)
        shown[i, log.chosen] = True
        return np.asarray(high + policy.scores(replace(log.batch, mask=shown))[i, log.chosen] * (high - low))
    assert isinstance(policy, Bayesian)
    phi = policy.features(log.batch, log.chosen)
    return np.asarray(policy.reward_mean + policy.reward_sd * (phi * _means(policy, log)).sum(axis=1))


def _means(policy: Bayesian, log: Interactions) -> F64:
    """Returns (n, d) or (1, d) the posterior mean that scores each shown arm."""
    if not isinstance(policy.heads, ArmHeads):
        return policy.head.mean[None, :]
    rows, _ = log.shown
    known, place = np.unique(rows, return_inverse=True)
    return np.stack([policy.heads.of(log.batch.catalogue.ids[row]).mean for row in known])[place]


def training_loss(policy: Policy, learnt: Iterable[Interactions]) -> TrainingLoss | None:
    """Returns the loss on the latest ROWS of the chunks; None where the policy predicts no reward, or rows are few."""
    if not _predicts(policy):
        return None
    chunks = tail(learnt, ROWS)
    log = concatenate(chunks) if chunks else None
    if log is None or len(log) < LEAST:
        return None
    log = log[max(0, len(log) - ROWS) :]
    found = expected(policy, log)
    assert found is not None
    loss, mean = (float(np.average((log.reward - x) ** 2, weights=log.weight)) for x in (found, _mean(log)))
    return TrainingLoss(rows=len(log), loss=loss, of_mean=mean)


def _mean(log: Interactions) -> float:
    return float(np.average(log.reward, weights=log.weight))


def save(policy: Policy, learnt: Iterable[Interactions], folder: Path) -> None:
    """Writes the policy, and beside it its training loss, where it has one."""
    policy.save(folder)
    found = training_loss(policy, learnt)
    if found is not None:
        (folder / layout.LOSS).write_bytes(orjson.dumps(asdict(found)))


def loss_in(folder: Path) -> dict[str, float]:
    """Returns what `save` wrote beside a policy; {} where it wrote no loss, or an older version wrote the policy."""
    path = folder / layout.LOSS
    return dict(orjson.loads(path.read_bytes())) if path.exists() else {}
