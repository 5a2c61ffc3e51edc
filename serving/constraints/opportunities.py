"""The prices of opportunities at a look: each solved on the latest decisions that rewarded its arms, decided anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from croupier.features.batch import F64, Batch
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.interactions.versions import latest_interactions
from croupier.features.slates.log_rules import slots_of
from croupier.features.workspace import Workspace
from croupier.models.constraints.long_run import PriceList, Usage
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.constraints.opportunity_price import RewardedDecisions, looked
from croupier.models.policy import Policy
from croupier.serving.constraints.day_prices import PAST
from croupier.serving.constraints.measured import of_segment, weights
from croupier.serving.constraints.recent_requests import in_force
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.safeguards import Safeguards

Pair = tuple[str, str]
ROWS, CANDIDATES = 2_000, 200_000  # of the latest rewarded decisions, at most; and of their candidates, about


@dataclass(frozen=True, kw_only=True, eq=False)
class DecidedAnew:
    """The decisions of groups that rewarded the arms of an opportunity, `batches` as the release's encoder reads them,
    decided anew where its prices are others; `pairs` are the names of each group's prices, of having more and less."""

    release: LoadedRelease
    policy: Policy
    usages: Mapping[str, Usage]
    prices: Mapping[str, float]
    pairs: Sequence[Pair]
    batches: Sequence[Batch]

    def shown(self, group: int, price: float) -> F64:
        """The probability (n_g,) of the arms in a group's decisions at its price."""
        named = Multipliers(version=1, prices={**self.prices, **_both(self.pairs[group], price)})
        batch = PriceList.of(self.usages, named, day="").on(self.batches[group])
        of = self.usages[self.pairs[group][0]].of
        mine = np.array([arm in of for arm in batch.catalogue.ids])[batch.arm] & batch.mask
        return np.asarray((self.release.exploration.pmf(self.policy, batch) * mine).sum(axis=1))


def solved(
    w: Workspace, prices: Mapping[str, float], usages: Mapping[str, Usage], *, now: datetime, step: float, most: float
) -> dict[str, float]:
    """The prices, those of opportunities moved by at most `step`; of several, one after another. Raises ValueError
    where the release cannot read the log."""
    found = dict(prices)
    names = [name for name, usage in usages.items() if usage.by == "opportunities"]
    release, policy = in_force(w) if names else (None, None)
    if release is None or policy is None:
        return found
    for constraint in dict.fromkeys(usages[name].constraint for name in names):
        mine = [name for name in names if usages[name].constraint == constraint]
        pairs, first = list(zip(mine[::2], mine[1::2], strict=True)), usages[mine[0]]
        rows = _rewarding(w, release, first, now)
        if not len(rows):
            continue
        batch, weight = _batch(release, rows), weights(first, rows)
        groups = [batch.of_segment(segment) for more, _ in pairs if (segment := usages[more].segment)]
        batches = [batch[each] for each in groups]
        anew = DecidedAnew(release=release, policy=policy, usages=usages, prices=found, pairs=pairs, batches=batches)
        decisions = RewardedDecisions(weights=[weight[each] for each in groups], shown=anew.shown)
        net = np.array([found[more] - found[less] for more, less in pairs])
        new = looked(decisions, net, tolerance=2 * first.limit, largest_move=step, most=most)
        found |= {name: one for pair, price in zip(pairs, new, strict=True) for name, one in _both(pair, price).items()}
    return found


def _both(pair: Pair, price: float) -> dict[str, float]:
    """A group's price as those of having more, and less, than all of them."""
    return {pair[0]: max(0.0, float(price)), pair[1]: max(0.0, -float(price))}


def _rewarding(w: Workspace, release: LoadedRelease, usage: Usage, now: datetime) -> pl.DataFrame:
    """The latest decisions that rewarded these arms, of the groups, whose arms the release knows."""
    arms = pl.col("arms").list.set_difference(list(release.catalogue.row)).list.len() == 0
    where = pl.col("arm").is_in([*usage.of]) & (pl.col("reward") > 0) & (arms | (pl.col("arm_features") != "[]"))
    found = latest_interactions(w.store, now - PAST, now, where=where, rows=ROWS)
    widest = max(map(len, found["arms"]), default=1)
    return of_segment(usage.around, found.tail(CANDIDATES // widest))


def _batch(release: LoadedRelease, rows: pl.DataFrame) -> Batch:
    """Decisions as the release's encoder reads them."""
    log = encode_interactions(rows, release.encoder, release.catalogue)
    rules = Safeguards.of(release.manifest).slate_rules(release.arms)
    return rules.priced(log.batch, slots_of(rows))
