"""The latest requests of the log, decided anew at other prices: what a day's budget would spend of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from croupier.features.arrow import DECISIONS
from croupier.features.batch import F64, Batch
from croupier.features.log.shipped import DECISION, open_log
from croupier.features.schema import CHAMPION, Decision
from croupier.features.slates.so_far import SlateSoFar
from croupier.features.store import layout
from croupier.features.utc import HOUR, to_us
from croupier.features.workspace import Workspace
from croupier.models.constraints.long_run import PriceList, Usage
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.policy import Policy
from croupier.serving.decide import replay
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.release import bundle_store
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.safeguards import Safeguards

SAMPLE, LEAST = 400, 20  # of the latest requests, at most and at least
BACK = 26 * HOUR  # how far they are looked for


@dataclass(frozen=True, kw_only=True, eq=False)
class RecentRequests:
    """Requests as the release's encoder reads them, and its champion with what it has learnt on this host."""

    release: LoadedRelease
    policy: Policy
    batch: Batch
    weight: F64
    usages: Mapping[str, Usage]

    def spends(self, name: str, prices: Mapping[str, float]) -> tuple[float, float]:
        """The mean cost of what a request would be shown at these prices, and its mean square, by the spend `name`."""
        paid = PriceList.of(self.usages, Multipliers(version=1, prices=prices), day="")
        pmf = self.release.exploration.pmf(self.policy, paid.on(self.batch))
        of = self.usages[name].of
        costs = np.array([of.get(arm, 0.0) for arm in self.batch.catalogue.ids])[self.batch.arm]
        means = [(pmf * costs**power).sum(axis=1) for power in (1, 2)]
        return float(np.average(means[0], weights=self.weight)), float(np.average(means[1], weights=self.weight))


def recent_requests(w: Workspace, usages: Mapping[str, Usage], now: datetime) -> RecentRequests | None:
    """The latest requests by now, of all hosts; None where there are too few, or no release."""
    rows = _latest(w, to_us(now))
    release, policy = in_force(w) if len(rows) >= LEAST else (None, None)
    if release is None or policy is None:
        return None
    fits = [d for d in rows if d.catalogue == release.catalogue.digest and d.encoder == release.encoder.digest]
    if len(fits) < LEAST:
        return None
    slots = [(SlateSoFar.recorded(d.slate_so_far), d.arms, d.arm_features) for d in fits]
    contexts, arms, pairs, given = zip(*[(d.context, d.arms, d.arm_context, d.arm_features) for d in fits], strict=True)
    rules = Safeguards.of(release.manifest).slate_rules(release.arms)
    return RecentRequests(
        release=release,
        policy=policy,
        batch=rules.priced(release.encoder.encode(contexts, arms, pairs, release.catalogue, given), slots),
        weight=np.array([1 / d.pass_probability for d in fits]),
        usages=usages,
    )


def in_force(w: Workspace) -> tuple[LoadedRelease, Policy] | tuple[None, None]:
    """The current release, and its champion with what it has learnt on this host; None and None before there is one."""
    number = bundle_store.current(w.store)
    if number is None:
        return None, None
    load = replay.loader(w.home, lambda n, folder: bundle_store.download(w.store, n, folder, app=w.home.name))
    release = load(number)
    return release, LiveHeads(w.home / layout.HEADS, release).policy(CHAMPION)


def _latest(w: Workspace, now: int) -> Sequence[Decision]:
    """At most SAMPLE decisions, the latest."""
    found: list[Decision] = []
    with open_log(w.store) as shipped:
        for hour in reversed(shipped.hours("decisions", now - BACK, now)):
            rows = shipped.read("decisions", [hour], DECISION).sort("at", "event_id").tail(SAMPLE - len(found))
            found += [Decision.from_row(row) for row in rows.select(DECISIONS.names).iter_rows(named=True)]
            if len(found) >= SAMPLE:
                break
    return found
