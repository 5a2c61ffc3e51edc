"""Joining again, later, and at once: hours wait, are restated, and have one newest version."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from io import BytesIO

import polars as pl
import pytest

from croupier.features.interactions.account import Account
from croupier.features.interactions.restate import restate
from croupier.features.interactions.versions import newest, read_interactions
from croupier.features.store.storage import FolderStore, open_store
from tests.features.interactions.joined import END, NOW, START, WINDOW, decision, join, reward, rewards_of


def test_immature_decisions_wait_and_are_added_when_their_window_has_passed(log, store):
    log(decision("a", 0), decision("b", 30))
    assert join(store, now=START + timedelta(seconds=59)).immature == 2
    first = join(store, now=START + timedelta(seconds=60))
    assert (first.interactions, first.immature) == (1, 1)
    last = join(store, now=START + timedelta(seconds=90))
    assert (last.interactions, last.immature) == (2, 0)
    assert set(rewards_of(store)) == {"a", "b"}


def test_a_second_join_writes_nothing_and_late_events_restate_the_hour(log, store):
    log(decision("e"), decision("f", 1))
    join(store)
    before = store.list("interactions/")
    join(store, now=NOW + timedelta(days=1))
    assert store.list("interactions/") == before

    log(reward("e", 10))  # within the window, but it reached the store late
    join(store)
    version = newest(store, start=START, end=END)["2019-11-24T10"]
    assert version.version == 2
    assert version.changed == {"rewards_changed": 1, "rewards_in": 1, "on_time": 1}
    assert rewards_of(store) == {"e": (1.0, 1), "f": (0.0, 0)}

    log(reward("f", 500))  # after the window: kept and counted, the reward stays
    join(store)
    version = newest(store, start=START, end=END)["2019-11-24T10"]
    assert (version.version, version.changed) == (3, {"rewards_in": 1, "late": 1})
    assert frame(store, version.late)["event_id"].to_list() == ["f"]
    assert rewards_of(store) == {"e": (1.0, 1), "f": (0.0, 0)}
    assert set(before) < set(store.list("interactions/"))  # old versions stay readable


def frame(store, key: str) -> pl.DataFrame:
    return pl.read_parquet(BytesIO(store.get(key)))


def test_hours_are_independent_of_how_they_are_asked_for(tmp_path, log, store):
    events = [decision(f"e{i}", 97 * i) for i in range(100)]
    log(*events, *(reward(f"e{i}", 97 * i + 30) for i in range(0, 100, 3)), reward("lost", 9))
    whole = join(store)
    interactions = read_interactions(store, start=START, end=END)
    again = open_store(str(tmp_path / "again"))
    for key in store.list("log/"):
        again.create(key, store.get(key))
    hours = [START + timedelta(hours=h) for h in range(3)]
    parts = [join(again, start=h, end=h + timedelta(hours=1)) for h in hours]
    assert sum(parts, Account()) == whole
    assert interactions.equals(read_interactions(again, start=START, end=END))
    assert (whole.interactions, whole.on_time, whole.orphan) == (100, 34, 1)
    assert [p.interactions for p in parts] == [38, 37, 25]


@pytest.mark.medium
def test_joins_at_once_make_what_one_makes(tmp_path, log, store):
    """Two schedulers, one hour: the versions that result are those of one after the other, none of them half."""
    log(*(decision(f"e{i}", 97 * i) for i in range(100)), *(reward(f"e{i}", 97 * i + 3) for i in range(0, 100, 3)))
    alone = open_store(str(tmp_path / "alone"))
    for key in store.list("log/"):
        alone.create(key, store.get(key))
    account = join(alone)
    with ThreadPoolExecutor(4) as pool:
        accounts = list(pool.map(lambda _: join(store), range(4)))
    assert accounts == [account] * 4
    data = [key for key in store.list("interactions/") if key.endswith(".parquet")]
    assert data == [key for key in alone.list("interactions/") if key.endswith(".parquet")]
    assert [store.get(key) for key in data] == [alone.get(key) for key in data]
    assert all(version.version == 1 for version in newest(store, start=START, end=END).values())

    log(reward("e1", 99), reward("e60", 60 * 97 + 5))
    with ThreadPoolExecutor(4) as pool:
        restated = list(pool.map(lambda _: restate(store, WINDOW, now=NOW), range(4)))
    assert set().union(*restated) == {"2019-11-24T10", "2019-11-24T11"}
    versions = {hour: version.version for hour, version in newest(store, start=START, end=END).items()}
    assert versions == {"2019-11-24T10": 2, "2019-11-24T11": 2, "2019-11-24T12": 1}


class Overtaken(FolderStore):
    """Just before its first version of an hour is published, somebody else publishes theirs."""

    other = None

    def create(self, key, data):
        if key.endswith("v0001.json") and self.other is not None:
            other, self.other = self.other, None
            other()
        super().create(key, data)


def test_the_version_of_a_join_that_was_overtaken_is_the_next_one(log, store):
    log(decision("a", 0), decision("b", 30))
    slow = Overtaken(store.url)
    slow.other = lambda: join(store, now=NOW)
    join(slow, now=START + timedelta(seconds=60))  # an older clock: only `a` is mature
    rows = [json.loads(store.get(key))["rows"] for key in store.list("interactions/") if key.endswith(".json")]
    assert rows == [2, 1]
    assert set(rewards_of(store)) == {"a"}


def test_an_empty_log_is_an_empty_answer(store):
    assert join(store) == Account()
    assert read_interactions(store, start=START, end=END).height == 0


def test_a_time_without_zone_is_refused(store):
    with pytest.raises(ValueError, match="without a time zone"):
        join(store, start=datetime(2019, 11, 24))  # noqa: DTZ001 - the point
