"""Which rewards belong to a decision: one rule, in the join, in the restatement and in the fast loop alike."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croupier.features.interactions.join import join_interval, read_interactions
from croupier.features.interactions.reward import CLOCK_SKEW_US, LOOKBACK_US, in_reach, in_reach_columns, on_time
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.store.storage import open_store
from croupier.features.utc import HOUR, to_us
from croupier.serving.learning.learning_steps import combined

START = datetime(2024, 2, 28, 22, tzinfo=UTC)
T0, DAY = to_us(START), 24 * HOUR
EDGES = [-CLOCK_SKEW_US, 0, 60_000_000, HOUR, DAY, LOOKBACK_US]
apart = st.sampled_from([edge + more for edge in EDGES for more in (-1, 0, 1)]) | st.integers(-2 * HOUR, 31 * DAY)
window = st.sampled_from([60.0, 3600.0, 86400.0, 30 * 86400.0])


def decided(at: int) -> Decision:
    return Decision(
        event_id="e",
        at=at,
        unit_id="u",
        context={},
        arms=("a",),
        pmf=(1.0,),
        arm="a",
        propensity=1.0,
        policy="p",
        role="champion",
        release=1,
    )


def joined(at: int, spec: RewardSpec, rewards: list[Reward]) -> tuple[float, int]:
    """What the whole way makes of one decision: spool, ship, join."""
    with TemporaryDirectory() as folder:
        spool, store = Spool(Path(folder) / "log.db", durability="NORMAL"), open_store(f"{folder}/store")
        spool.append_decisions([decided(at)])
        spool.append_rewards(rewards)
        ship(spool, store, host="h")
        spool.close()
        end = START + timedelta(hours=2)
        join_interval(store, spec, start=START, end=end, now=START + timedelta(days=90))
        row = read_interactions(store, start=START, end=end).row(0, named=True)
        return row["reward"], row["reward_count"]


@given(st.lists(st.tuples(st.integers(0, 2 * HOUR), apart), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_columns_follow_the_scalar_rule(pairs):
    frame = pl.DataFrame({"decided_at": [T0 + d for d, _ in pairs], "at": [T0 + d + a for d, a in pairs]})
    assert frame.select(in_reach_columns()).to_series().to_list() == [in_reach(T0 + d + a, T0 + d) for d, a in pairs]


@pytest.mark.medium
@given(st.integers(0, 2 * HOUR - 1), st.lists(apart, min_size=1, max_size=4, unique=True), window)
@settings(max_examples=60, deadline=None)
def test_the_join_and_the_fast_loop_count_the_same_rewards(offset, gaps, seconds):
    """Powers of two tell which of the rewards were counted."""
    spec = RewardSpec(window_seconds=seconds, kinds={"click": KindSpec(how="sum")}, range=(0.0, 16.0))
    at = T0 + offset
    rewards = [Reward(event_id="e", at=at + gap, kind="click", value=2.0**i) for i, gap in enumerate(gaps)]
    expected = [i for i, gap in enumerate(gaps) if on_time(at + gap, at, round(seconds * 1e6))]
    number = sum(2.0**i for i in expected)
    assert joined(at, spec, rewards) == (number, len(expected))
    assert combined(rewards, decided(at), spec) == (number if expected else None)


@pytest.mark.parametrize(("minute", "gap", "counts"), [
    (59, -1.96 * HOUR, False),  # whole hours apart: one; in the join it counted, in the fast loop it did not
    (0, -HOUR, True),
    (59, LOOKBACK_US, True),  # 721 hours begin in between: the last of them must be looked up
    (59, LOOKBACK_US + 1, False),
])  # fmt: skip
def test_the_edges_of_reach(minute, gap, counts):
    spec = RewardSpec(window_seconds=LOOKBACK_US / 1e6, kinds={"click": KindSpec()})
    at = T0 + minute * 60_000_000 + 59_999_999
    rewards = [Reward(event_id="e", at=at + int(gap), kind="click", value=1.0)]
    assert joined(at, spec, rewards) == ((1.0, 1) if counts else (0.0, 0))
    assert combined(rewards, decided(at), spec) == (1.0 if counts else None)
