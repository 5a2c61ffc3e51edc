"""A candidate in shadow is scored on what the champion decided: it must answer everything with probabilities."""

from typing import Any

import numpy as np
import polars as pl

from croupier.features.batch import F64, Interactions
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.schema import APPRENTICE, CANDIDATE, SHADOW
from croupier.features.slates.log_rules import slots_of
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import Store
from croupier.models import exploration
from croupier.serving.evidence.comparison import decisions
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.rollout_state import RolloutState
from croupier.serving.release.safeguards import Safeguards
from croupier.serving.release.stage_rule import RolloutEvidence


def shadowed(frame: pl.DataFrame, release: LoadedRelease, problems: list[str]) -> RolloutEvidence:
    """Scores the champion's decisions with the candidate: whether it answers them all, and what it would have been
    worth."""
    numbers: dict[str, Any] = {"decisions": len(frame), "stage": SHADOW}
    if not len(frame):
        return RolloutEvidence(problems=tuple(problems), numbers=numbers)
    try:
        log, pmf = _shadow_pmf(frame, release)
    except Exception as error:  # noqa: BLE001 - whatever a policy does, in shadow it does no harm
        return RolloutEvidence(harms=(f"in shadow: {type(error).__name__}: {error}"[:200],), numbers=numbers)
    weight = pmf[np.arange(len(log)), log.chosen] / log.propensity
    numbers |= {
        "champion_mean": float(log.reward.mean()),
        "candidate_ips": float((weight * log.reward).mean()),
        "ess": float(weight.sum() ** 2 / np.square(weight).sum()),
    }
    return RolloutEvidence(decisions=len(frame), problems=tuple(problems), numbers=numbers)


def _shadow_pmf(frame: pl.DataFrame, release: LoadedRelease) -> tuple[Interactions, F64]:
    """What the candidate would have done (n, K) in these decisions of the champion. Raises whatever its policy does."""
    log = encode_interactions(frame, release.encoder, release.catalogue)
    rules = Safeguards.of(release.manifest).slate_rules(release.arms)
    batch = rules.priced(log.batch, slots_of(frame)) if rules else log.batch
    return log, exploration.guard(release.pmf(CANDIDATE, batch), batch.mask)


def shadow_log(
    store: Store, reward: RewardSpec, state: RolloutState, release: LoadedRelease, *, now: int
) -> pl.DataFrame:
    """The matured decisions of the shadow stage: the champion's, its pmf, the reward, and beside it `candidate_pmf`."""
    frame = decisions(store, reward, state, now=now).filter(
        (pl.col("stage") == SHADOW) & (pl.col("role") != APPRENTICE)
    )
    pmf = _shadow_pmf(frame, release)[1].tolist() if len(frame) else []
    own = [row[:k] for row, k in zip(pmf, frame["arms"].list.len(), strict=True)]
    beside = pl.Series("candidate_pmf", own, dtype=pl.List(pl.Float64))
    return frame.select("event_id", "at", "unit_id", "arms", "pmf", "arm", "reward").with_columns(beside)
