"""Rewards at the server's door."""

import pytest

from features.spool import Spool
from serving.rewards import RawReward, Rewards


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "log.db", durability="NORMAL")
    yield made
    made.close()


def test_equal_values_are_one_reward_however_they_are_written(spool):
    values = [0.0, -0.0, 5e-324, 1e308, -1e308, 1.0, 1]
    outcomes = Rewards(spool).take([RawReward(b"e", b"click", v) for v in values])
    assert [o.status for o in outcomes] == ["unknown_event", "duplicate", *["unknown_event"] * 4, "duplicate"]
    assert [r.value for _, r in spool.rewards_of(["e"])["e"]] == [0.0, 5e-324, 1e308, -1e308, 1.0]
