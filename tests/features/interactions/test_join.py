"""Decisions left-joined with rewards: what each event becomes, and that the account of them balances."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO

import polars as pl
import pytest

from croupier.features.interactions.account import Account, Unbalanced
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.restate import restate
from croupier.features.interactions.versions import newest, read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.store.storage import FolderStore, open_store
from croupier.features.utc import to_us

START = datetime(2019, 11, 24, 10, tzinfo=UTC)
END, NOW = START + timedelta(hours=3), START + timedelta(days=40)
WINDOW = RewardSpec(window_seconds=60, kinds={"click": KindSpec()})


def decision(event_id: str, seconds: float = 0, **changes) -> Decision:
    base = dict(  # noqa: C408 - reads like the dataclass
        event_id=event_id,
        at=to_us(START) + int(seconds * 1e6),
        unit_id="u" * 32,
        context={"b": 1, "a": "x"},
        arms=("left", "right"),
        pmf=(0.25, 0.75),
        arm="right",
        propensity=0.75,
        policy="uniform",
        role="champion",
        release=1,
        arm_context=({"price": 1.0}, {"price": 2.0}),
    )
    return Decision(**(base | changes))


def reward(event_id: str, seconds: float = 1, value: float = 1.0, kind: str = "click", reward_id: str = "") -> Reward:
    return Reward(event_id=event_id, at=to_us(START) + int(seconds * 1e6), kind=kind, value=value, reward_id=reward_id)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def log(tmp_path, store):
    """Appends to this host's log and ships it."""
    spool = Spool(tmp_path / "spool" / "log.sqlite")

    def add(*events):
        spool.append_decisions([e for e in events if isinstance(e, Decision)])
        spool.append_rewards([e for e in events if isinstance(e, Reward)])
        ship(spool, store, host="h1")

    add.spool = spool
    yield add
    spool.close()


def join(store, spec=WINDOW, *, now=NOW, start=START, end=END) -> Account:
    return join_interval(store, spec, start=start, end=end, now=now)


def rewards_of(store) -> dict[str, tuple[float, int]]:
    rows = read_interactions(store, start=START, end=END).iter_rows(named=True)
    return {row["event_id"]: (row["reward"], row["reward_count"]) for row in rows}


def test_a_decision_comes_back_whole_with_its_reward(log, store):
    asked = decision("e1", 5)
    log(asked, reward("e1", 7, 0.5))
    join(store)
    (row,) = read_interactions(store, start=START, end=END).to_dicts()
    assert Decision.from_row(row) == asked
    assert (row["reward"], row["reward_count"], row["reward_at"]) == (0.5, 1, to_us(START) + 7_000_000)
    assert row["context"] == '{"a":"x","b":1}'


def test_the_account_balances(log, store):
    """Planted: 6 decisions (one repeated on another host), rewards on time ×3, late ×2, orphan ×2, repeated ×4,
    malformed ×3, and one decision whose window is open."""
    now = START + timedelta(hours=2)
    log(
        *(decision(f"e{i}", 600 * i) for i in range(6)),
        decision("open", 7190),
        reward("e0", 1),
        reward("e0", 2),
        reward("e0", 3),  # equal content: one reward, two repeats
        reward("e1", 601, reward_id="r"),
        reward("e1", 602, 7.0, reward_id="r"),  # equal id: one repeat
        reward("e2", 1200 + 60),
        reward("e3", 1800 + 61),
        reward("e4", 5000),  # at the edge, late, late
        reward("nobody", 5),
        reward("nobody else", 4000),
    )
    log.spool.append_rejects([("reward", "value", b"nan", "not finite", to_us(START))] * 3)
    log.spool.append_rejects([("decision", "context", b"{", "not JSON", to_us(START))])
    other = Spool(log.spool.path.with_name("other.sqlite"))
    other.append_decisions([decision("e5", 3000.5)])
    other.append_rewards([reward("e1", 603, 7.0, reward_id="r")])  # this repeat is only seen at the join
    ship(log.spool, store, host="h1")
    ship(other, store, host="h2")
    account = join(store, now=now)
    assert account == Account(
        decisions_in=9,
        interactions=6,
        immature=1,
        decision_duplicates=1,
        decisions_malformed=1,
        rewards_in=14,
        on_time=3,
        late=2,
        orphan=2,
        malformed=3,
        duplicate=4,
    )
    received = [spool.counts() for spool in (log.spool, other)]
    assert sum(c["decisions"] + c["rewards"] + c["rejects"] for c in received) == 9 + 14
    assert rewards_of(store) == {
        "e0": (1.0, 1),
        "e1": (1.0, 1),
        "e2": (1.0, 1),
        "e3": (0.0, 0),
        "e4": (0.0, 0),
        "e5": (0.0, 0),
    }
    other.close()


def test_decided_is_logged_plus_thinned(tmp_path, store):
    spool = Spool(tmp_path / "log.sqlite", max_bytes=256 << 10)
    for batch in range(20):
        spool.append_decisions([decision(f"e{batch}-{i}", batch) for i in range(50)])
        if batch % 5 == 0:
            ship(spool, store, host="h")
    ship(spool, store, host="h")
    account = join(store)
    assert account.decisions_in == 1000
    assert account.thinned == spool.counts()["thinned"] > 100
    assert account.interactions == spool.counts()["decisions"] == 1000 - account.thinned
    spool.close()


def test_an_unbalanced_account_is_an_error():
    with pytest.raises(Unbalanced, match="'rewards_in': 2"):
        Account(rewards_in=2, on_time=1).checked()


def test_a_reward_may_come_before_its_decision_and_in_the_hour_before(log, store):
    log(decision("e", 3601), reward("e", 3599))
    assert join(store).on_time == 1
    assert rewards_of(store) == {"e": (1.0, 1)}


def test_a_reward_of_the_hour_before_counts_where_that_hour_itself_is_not_joined(log, store):
    log(decision("e", 3601), reward("e", 3599), decision("first", 7200), reward("first", 3600))
    assert join(store, start=START + timedelta(hours=1), end=START + timedelta(hours=2)).on_time == 1
    assert rewards_of(store) == {"e": (1.0, 1)}
    assert (
        join(store, start=START + timedelta(hours=2), end=START + timedelta(hours=3)).on_time == 1
    )  # an hour to the µs
    assert rewards_of(store) == {"e": (1.0, 1), "first": (1.0, 1)}


MONTH = 30 * 24 * 3600


@pytest.mark.parametrize("decided", [0, 3599])
def test_a_reward_at_the_very_end_of_the_longest_window_counts(log, store, decided):
    log(decision("e", decided), reward("e", decided + MONTH), reward("e", decided + MONTH + 1, reward_id="after"))
    spec = RewardSpec(window_seconds=MONTH)
    found = join(store, spec, end=START + timedelta(hours=1))
    assert (found.interactions, found.on_time, found.late) == (1, 1, 0)
    assert rewards_of(store) == {"e": (1.0, 1)}
    later = START + timedelta(seconds=decided + MONTH)
    assert join(store, spec, start=later, end=later + timedelta(seconds=2)).orphan == 1  # the one beyond a month


@pytest.mark.parametrize(("decided", "rewarded"), [(0, MONTH), (3600 + 3599, 3599), (3601, 1)])
def test_a_reward_in_another_hour_than_its_decision_is_no_orphan_there(log, store, decided, rewarded):
    """Each at the end of what is looked through: a month before, an hour after."""
    log(decision("e", decided), reward("e", rewarded), reward("nobody", rewarded + 0.5))
    hour = START + timedelta(seconds=rewarded)
    found = join(store, RewardSpec(window_seconds=60), start=hour, end=hour + timedelta(seconds=1))
    assert (found.rewards_in, found.orphan, found.interactions) == (1, 1, 0)


@pytest.mark.parametrize(
    ("how", "expected"), [("first", 3.0), ("last", -1.0), ("max", 5.0), ("sum", 7.0)],
)  # fmt: skip
def test_several_rewards_become_one_number(log, store, how, expected):
    log(decision("e"), *(reward("e", i + 1, v, reward_id=f"{i}") for i, v in enumerate([3.0, 5.0, -1.0])))
    join(store, RewardSpec(window_seconds=60, kinds={"click": KindSpec(how=how)}))
    assert rewards_of(store) == {"e": (expected, 3)}


def test_kinds_are_clipped_weighted_and_added_and_others_do_not_count(log, store):
    log(decision("e"), decision("none", 1), reward("e", 1), reward("e", 2, 100.0, "watch"), reward("e", 3, 9.0, "heat"))
    spec = RewardSpec(
        window_seconds=60,
        default=-0.5,
        range=(-1.0, 5.0),
        kinds={"click": KindSpec(weight=2.0), "watch": KindSpec(how="sum", weight=0.1, clip=(0.0, 30.0))},
    )
    assert join(store, spec).on_time == 3
    assert rewards_of(store) == {"e": (5.0, 2), "none": (-0.5, 0)}


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


def test_a_window_longer_than_the_join_looks_back_is_refused(store):
    with pytest.raises(ValueError, match=r"window_seconds: found .* expected at most 30 days"):
        join(store, RewardSpec(window_seconds=31 * 86400))
