"""The prices of opportunities at a look: each solved on the latest requests, by whom its arms suit, decided anew."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
import polars as pl

from croupier.features.batch import F64, I64, Batch, Bool
from croupier.features.declared.segment import RequestSegment
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.interactions.versions import latest_interactions
from croupier.features.slates.log_rules import slots_of
from croupier.features.workspace import Workspace
from croupier.models.constraints.long_run import PriceList, Usage
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.constraints.opportunity_price import SuitedRequests, looked
from croupier.models.constraints.suiting import ShownDecisions
from croupier.models.policy import Policy
from croupier.serving.constraints.day_prices import PAST
from croupier.serving.constraints.measured import mass, of_segment
from croupier.serving.constraints.recent_requests import in_force
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.safeguards import Safeguards

Pair = tuple[str, str]
ROWS, CANDIDATES = 2_000, 200_000  # of the latest requests, at most; and of their candidates, about
SHOWN = 8_000  # of the latest decisions that showed the arms, at most: what is learnt of whom they suit


@dataclass(frozen=True, kw_only=True, eq=False)
class DecidedAnew:
    """The requests of groups, `batches` as the release's encoder reads them, decided anew where an opportunity's prices
    are others; `pairs` are the names of each group's prices, of having more and less."""

    release: LoadedRelease
    policy: Policy
    usages: Mapping[str, Usage]
    prices: Mapping[str, float]
    pairs: Sequence[Pair]
    batches: Sequence[Batch]

    def shown(self, group: int, price: float) -> F64:
        """The probability (n_g,) of the arms in a group's requests at its price."""
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
        pairs, latest = list(zip(mine[::2], mine[1::2], strict=True)), _Latest(w, release, usages[mine[0]], now)
        anew = partial(DecidedAnew, release=release, policy=policy, usages=usages, prices=found, pairs=pairs)
        requests = latest.requests(anew, [usages[more].segment for more, _ in pairs])
        if requests is None:
            continue
        net = np.array([found[more] - found[less] for more, less in pairs])
        new = looked(requests, net, tolerance=2 * latest.usage.limit, largest_move=step, most=most)
        found |= {name: one for pair, price in zip(pairs, new, strict=True) for name, one in _both(pair, price).items()}
    return found


def _both(pair: Pair, price: float) -> dict[str, float]:
    """A group's price as those of having more, and less, than all of them."""
    return {pair[0]: max(0.0, float(price)), pair[1]: max(0.0, -float(price))}


@dataclass(frozen=True, eq=False)
class _Latest:
    """The latest decisions by `now` of the groups of an opportunity, whose arms the release knows."""

    w: Workspace
    release: LoadedRelease
    usage: Usage
    now: datetime

    def requests(
        self, anew: Callable[..., DecidedAnew], groups: Sequence[RequestSegment | None]
    ) -> SuitedRequests | None:
        """Its requests by group, decided anew; None where there is nothing to learn from."""
        rows, told = self.listing(), self.showing()
        if not len(rows) or not len(told):
            return None
        batch, seen = _batch(self.release, rows), _batch(self.release, told)
        of, by = ([each.of_segment(group) for group in groups if group] for each in (batch, seen))
        suits = (
            ShownDecisions(
                x=seen.context,
                reward=told["reward"].to_numpy() / self.w.spec.reward.range[1],
                mass=mass(self.usage, told),
                kept=told["pass_probability"].to_numpy(),
                group=_numbers(by, len(told)),
            ).suits(batch.context, _numbers(of, len(rows)))
            / rows["pass_probability"].to_numpy()
        )
        rewarded = (told["reward"] > 0).to_numpy()
        return SuitedRequests(
            weights=[suits[:, each] for each in of],
            rewarded=[int(rewarded[each].sum()) for each in by],
            shown=anew(batches=[batch[each] for each in of]).shown,
        )

    def listing(self) -> pl.DataFrame:
        """Those that list its arms; fewer where they list many."""
        found = self._rows(pl.col("arms").list.set_intersection([*self.usage.of]).list.len() > 0, ROWS)
        return found.tail(CANDIDATES // max(map(len, found["arms"]), default=1))

    def showing(self) -> pl.DataFrame:
        """Those that showed one of its arms."""
        return self._rows(pl.col("arm").is_in([*self.usage.of]), SHOWN)

    def _rows(self, about: pl.Expr, n: int) -> pl.DataFrame:
        known = pl.col("arms").list.set_difference([*self.release.catalogue.row]).list.len() == 0
        where = about & (known | (pl.col("arm_features") != "[]"))
        return of_segment(
            self.usage.around, latest_interactions(self.w.store, self.now - PAST, self.now, where=where, rows=n)
        )


def _numbers(groups: Sequence[Bool], n: int) -> I64:
    """(n,) the number of each row's group, of which these are the marks; −1 where it is in none."""
    found = np.full(n, -1)
    for g, marks in enumerate(groups):
        found[marks] = g
    return found


def _batch(release: LoadedRelease, rows: pl.DataFrame) -> Batch:
    """Decisions as the release's encoder reads them."""
    log = encode_interactions(rows, release.encoder, release.catalogue)
    rules = Safeguards.of(release.manifest).slate_rules(release.arms)
    return rules.priced(log.batch, slots_of(rows))
