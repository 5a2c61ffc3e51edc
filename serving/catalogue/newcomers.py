"""Which arms are new: added to a running app, and shown less than `[arms] new_until` times since.

They stand in the release's manifest with the share that they are given, so every host serves the same pmf and a replay
derives it again. An arm that has been shown often enough leaves with the next catalogue release.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from croupier.features.known_arms import retired
from croupier.features.log.shipped import open_log
from croupier.features.schema import Arm
from croupier.features.spec_values import ArmsSpec
from croupier.features.store.storage import Store
from croupier.features.utc import DAY, YEAR_2100, hour_name, hour_start
from croupier.serving.release.newcomer_share import Newcomers

NEW_DAYS = 30  # an arm that nobody has asked for is new no longer than this


def newcomers(
    store: Store, spec: ArmsSpec, before: Newcomers, old: Sequence[Arm], arms: Sequence[Arm], *, now: int
) -> Newcomers:
    """Returns the new arms of the release with `arms` that follows one with the arms `old`, of which those `before`
    were new."""
    there = {arm.arm_id for arm in arms if not retired(arm, now)}
    came = there - {arm.arm_id for arm in old}
    since = {arm: at for arm, at in before.since.items() if arm in there and now - at < NEW_DAYS * DAY}
    since |= {arm.arm_id: max(now, arm.valid_from) for arm in arms if arm.arm_id in came}
    counts = shown(store, since)
    fresh = {arm: at for arm, at in since.items() if counts.get(arm, 0) < spec.new_until}
    return Newcomers(share=spec.new_floor, since=fresh) if fresh and spec.new_floor else Newcomers()


def shown(store: Store, since: Mapping[str, int]) -> dict[str, int]:
    """Decisions of the shipped log in which each of these arms was shown, from its time (UTC µs) on."""
    if not since:
        return {}
    with open_log(store) as log:
        hours = log.hours("decisions", hour_start(hour_name(min(since.values()))), YEAR_2100)
        frame = log.read("decisions", hours, pl.Schema({"arm": pl.String, "at": pl.Int64}))
    began = pl.col("arm").replace_strict(since, default=None, return_dtype=pl.Int64)
    mine = frame.filter(pl.col("at") >= began)
    return dict(mine.group_by("arm").len().iter_rows())
