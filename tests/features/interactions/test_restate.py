"""`croupier restatements`: which hours changed after a verdict had used them."""

import random
from datetime import UTC, datetime, timedelta

import orjson
import polars as pl
import pytest

from croupier.features.interactions.join import join_interval
from croupier.features.interactions.restate import restate, restatements
from croupier.features.interactions.versions import newest, partitions, read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import open_store
from croupier.features.utc import HOUR, hour_name, to_us

START = datetime(2019, 11, 24, 10, tzinfo=UTC)
SPAN = {"start": START, "end": START + timedelta(hours=2)}


def decision(i: int) -> Decision:
    return Decision(
        event_id=f"e{i}",
        at=to_us(START) + i * 3_600_000_000,
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
    join(Reward(event_id="e1", at=decision(1).at + 2 * HOUR, kind="click", value=2.0))  # late: counted, changes no row
    assert [(r.version.version, r.used_by) for r in restatements(store)] == [(2, ("before",)), (3, ())]
    spool.close()


@pytest.fixture
def app(tmp_path):
    store, spool = open_store(str(tmp_path / "store")), Spool(tmp_path / "log.sqlite")
    spool.append_decisions([decision(0), decision(1), decision(30)])
    ship(spool, store, host="h")
    yield store, spool
    spool.close()


SPEC = RewardSpec(window_seconds=60)


def version_numbers(store) -> dict[str, int]:
    return partitions(store, start=START, end=START + timedelta(days=3))


def test_restate_joins_again_what_new_events_changed_and_nothing_else(app):
    store, spool = app
    now = START + timedelta(days=2)
    join_interval(store, SPEC, now=now, **SPAN)
    assert restate(store, SPEC, now=now) == []
    spool.append_rewards(
        [
            Reward(event_id="e0", at=decision(0).at + 5, kind="click", value=1.0),  # on time, but shipped late
            Reward(event_id="e1", at=decision(1).at + 20 * HOUR, kind="click", value=1.0),  # late: kept
            Reward(event_id="e30", at=decision(30).at + 5, kind="click", value=1.0),  # an hour never joined
            Reward(event_id="nobody", at=decision(0).at, kind="click", value=1.0),
        ]
    )
    ship(spool, store, host="h")
    assert restate(store, SPEC, now=now) == ["2019-11-24T10", "2019-11-24T11"]
    assert version_numbers(store) == {"2019-11-24T10": 2, "2019-11-24T11": 2}
    rows = read_interactions(store, **SPAN)
    assert dict(zip(rows["event_id"], rows["reward"], strict=True)) == {"e0": 1.0, "e1": 0.0}
    assert [r.version.changed for r in restatements(store)] == [
        {"rewards_changed": 1, "rewards_in": 2, "on_time": 1, "orphan": 1},
        {"rewards_in": 1, "late": 1},
    ]
    assert restate(store, SPEC, now=now) == []


def test_restate_adds_decisions_whose_window_has_closed(app):
    store, _ = app
    join_interval(store, SPEC, now=START + timedelta(seconds=30), **SPAN)
    assert restate(store, SPEC, now=START + timedelta(seconds=40)) == []
    assert restate(store, SPEC, now=START + timedelta(seconds=60)) == ["2019-11-24T10"]
    assert restate(store, SPEC, now=START + timedelta(hours=1, seconds=61)) == ["2019-11-24T11"]
    assert read_interactions(store, **SPAN).height == 2


@pytest.mark.medium
def test_restate_equals_joining_everything_again(app, tmp_path):
    store, spool = app
    everything = {"start": START, "end": START + timedelta(days=3)}
    join_interval(store, SPEC, now=START + timedelta(hours=1), **everything)
    rng = random.Random(5)
    for day in range(6):
        at = decision(0).at + day * 12 * HOUR
        spool.append_decisions([decision(i) for i in rng.sample(range(60), 5)])
        spool.append_rewards(
            [
                Reward(
                    event_id=f"e{rng.randrange(60)}", at=at + rng.randrange(12 * HOUR), kind="click", value=rng.random()
                )
                for _ in range(8)
            ]
        )
        ship(spool, store, host="h")
        now = START + timedelta(hours=12 * (day + 1))
        restate(store, SPEC, now=now)
        join_interval(store, SPEC, now=now, start=now - timedelta(hours=12), end=now)
    late = START + timedelta(days=4)
    restate(store, SPEC, now=late)
    before = read_interactions(store, **everything)
    joined = version_numbers(store)
    accounts = {hour: version.account for hour, version in newest(store, **everything).items()}
    assert join_interval(store, SPEC, now=late, **everything).balanced
    after = read_interactions(store, **everything)
    in_joined_hours = pl.col("at").map_elements(hour_name, return_dtype=pl.String).is_in(list(joined))
    assert before.height > 15
    assert before.equals(after.filter(in_joined_hours))
    assert accounts == {hour: v.account for hour, v in newest(store, **everything).items() if hour in joined}
    assert restate(store, SPEC, now=late) == []
