"""Rewards that another host received: learnt from, never shipped, counted there."""

import pytest

from croupier.features.log import closings, passed_on
from croupier.features.log.ship import prune, ship
from croupier.features.log.shipped import REWARD, open_log
from croupier.features.log.spool import Spool
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.schema import Decision, Reward
from croupier.features.store.storage import open_store

AT = 1_574_553_600_000_000


def rewards(names, value=1.0):
    return [Reward(event_id=name, at=AT, kind="click", value=value) for name in names]


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "log.db", durability="NORMAL")
    decided = [
        Decision(
            event_id=name,
            at=AT,
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
        for name in "abcd"
    ]
    made.append_decisions(decided)
    yield made
    made.close()


def test_they_are_read_as_any_and_shipped_by_nobody_here(spool, tmp_path):
    assert spool.append_rewards(rewards("ax")) == [True, True]
    assert passed_on.take(spool, rewards("abc"), {"mark": "7-0"}) == 2, "a was sent here too"
    assert passed_on.take(spool, rewards("abc"), {"mark": "7-0"}) == 0
    assert spool.append_rewards(rewards("bd")) == [False, True], "b came from another host already"
    assert [a.reward.event_id for a in closings.arrivals(spool, 0, 10)] == ["a", "x", "b", "c", "d"]
    assert spool.noted("mark") == "7-0"
    assert passed_on.decided_here(spool, {"a", "x", "d"}) == {"a", "d"}
    assert passed_on.rows(spool, 0, 100) == {
        row for row, body in spool.read("rewards") if b'"b"' in body or b'"c"' in body
    }
    assert spool.counts() == {"decisions": 4, "rewards": 3, "rejects": 1, "thinned": 0}
    store = open_store(str(tmp_path / "store"))
    assert ship(spool, store, host="h").rewards == 3
    with open_log(store) as log:
        assert sorted(log.read("rewards", log.hours("rewards"), REWARD)["event_id"]) == ["a", "d", "x"]
    spool.purge([("rewards", [row for row, body in spool.read("rewards") if b'"b"' in body or b'"d"' in body])])
    assert spool.counts()["rewards"] == 3, "what was forgotten was received"


def test_pruning_counts_what_was_received(spool, tmp_path):
    spool.append_rewards(rewards("a"))
    passed_on.take(spool, rewards("bc"), {})
    store = open_store(str(tmp_path / "store"))
    ship(spool, store, host="h")
    assert prune(spool, store, before=2**60) == 4 + 1, "decisions and the reward that was sent here"
    assert spool.read("rewards") == []
    assert (spool.counts()["rewards"], spool.counts()["decisions"]) == (1, 4)


def test_an_older_spool_learns_the_column(tmp_path):
    import sqlite3

    old = sqlite3.connect(tmp_path / "log.db")
    old.execute(
        "CREATE TABLE rewards (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT, token TEXT, at INTEGER, body BLOB, UNIQUE (event_id, token))"
    )
    old.execute("INSERT INTO rewards (event_id, token, at, body) VALUES ('e', 't', 1, '{}')")
    old.commit()
    old.close()
    spool = Spool(tmp_path / "log.db", durability="NORMAL")
    assert (spool.counts()["rewards"], passed_on.rows(spool, 0, 9)) == (1, set())
    spool.close()


def test_they_have_no_more_room_than_rewards_have(tmp_path):
    spool = Spool(tmp_path / "small.db", durability="NORMAL", max_bytes=2000)
    with pytest.raises(SpoolUnavailable, match="rewards fill their share"):
        passed_on.take(spool, rewards(f"e{i}" for i in range(50)), {"mark": "9-0"})
    assert (spool.read("rewards"), spool.noted("mark")) == ([], None), "nothing of it, so that it is asked for again"
    spool.close()


def test_a_place_by_time(spool):
    late = [Reward(event_id=f"e{i}", at=AT + i, kind="click", value=1.0) for i in range(5)]
    spool.append_rewards(late)
    assert [passed_on.first_since(spool, AT + i) for i in (0, 3, 9)] == [0, 3, 5]
