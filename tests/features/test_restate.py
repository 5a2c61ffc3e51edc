"""`croupier restatements`: which hours changed after a verdict had used them."""

from datetime import UTC, datetime, timedelta

import orjson

from features.join import join_interval
from features.partitions import to_us
from features.restate import restatements
from features.schema import Decision, Reward
from features.ship import ship
from features.spec import RewardSpec
from features.spool import Spool
from features.storage import open_store
from features.versions import partitions

START = datetime(2019, 11, 24, 10, tzinfo=UTC)
SPAN = {"start": START, "end": START + timedelta(hours=2)}


def decision(i: int) -> Decision:
    return Decision(
        event_id=f"e{i}", at=to_us(START) + i * 3_600_000_000, unit_id="u", context={}, arms=("a",), pmf=(1.0,),
        arm="a", propensity=1.0, policy="p", role="champion", release=1,
    )  # fmt: skip


def verdict(store, name: str) -> None:
    """What training leaves behind: a verdict on features, which name the versions they were made from."""
    store.put(f"features/f-{name}/meta.json", orjson.dumps({"partitions": partitions(store, **SPAN)}))
    store.put(f"verdicts/{name}.json", orjson.dumps({"features": f"f-{name}"}))


def test_only_verdicts_that_used_an_older_version_are_named(tmp_path):
    store, spool = open_store(str(tmp_path / "store")), Spool(tmp_path / "log.sqlite")

    def join(*rewards):
        spool.append_rewards(list(rewards))
        ship(spool, store, host="h")
        join_interval(store, RewardSpec(window_seconds=60), now=START + timedelta(days=1), **SPAN)

    spool.append_decisions([decision(0), decision(1)])
    join()
    verdict(store, "before")
    assert restatements(store) == []
    join(Reward(event_id="e1", at=decision(1).at + 5, kind="click", value=1.0))
    verdict(store, "after")
    (found,) = restatements(store)
    assert (found.version.hour, found.version.version) == ("2019-11-24T11", 2)
    assert found.version.changed == {"rewards_changed": 1, "rewards_in": 1, "on_time": 1}
    assert found.used_by == ("before",)
    spool.close()
