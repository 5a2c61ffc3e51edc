"""What the ids of events say about their hours, and that a join which goes by it finds what one that reads all finds."""

import random
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import polars as pl
import pytest

from croupier.features.ids import uuid7
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.restate import restate
from croupier.features.interactions.versions import newest, read_interactions
from croupier.features.log.index import event_hours, lookup
from croupier.features.log.index.ledger import LogLedger
from croupier.features.log.ship import ship
from croupier.features.log.shipped import open_log
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.store.storage import FolderStore
from croupier.features.utc import DAY, HOUR, MINUTE, hour_name, to_us
from tests.minted import decision, minted

START = datetime(2026, 3, 1, tzinfo=UTC)
T0 = to_us(START)
SPAN = {"start": START, "end": START + timedelta(days=40)}
SPEC = RewardSpec(window_seconds=3600)


def made_at(*ids: str) -> list[int | None]:
    return pl.DataFrame({"event_id": ids}).select(made=event_hours.made_at())["made"].to_list()


def test_the_time_in_an_id_is_read_as_it_was_written():
    at = 1_772_323_200_123
    event = minted(at * 1000)
    assert made_at(event, event.upper(), f"{event}/2") == [at * 1000] * 3
    assert int.from_bytes(UUID(event).bytes[:6]) == at


def test_other_ids_say_no_time():
    event = uuid7(1_772_323_200_123)
    others = [
        "",
        "e1",
        str(uuid4()),
        event[:-1],
        event + "0",
        event.replace("-", ""),
        "ffffffff-ffff-7fff-8fff-ffffffffffff",  # of the year 10889
        event[:14] + "4" + event[15:],
        "é" * 36,
        "zzzzzzzz-zzzz-7zzz-8zzz-zzzzzzzzzzzz",
    ]
    assert made_at(*others) == [None] * len(others)


def an_id(rng: random.Random, at: int) -> str:
    """Of every sort that there is, for a decision at `at`."""
    told = minted(at + rng.randrange(-HOUR, HOUR), rng)
    return rng.choice(
        [
            told,
            told,
            told,
            f"{told}/1",
            minted(at - rng.randrange(2 * HOUR, 50 * HOUR), rng),  # made long before, or after, it was decided
            minted(at + rng.randrange(2 * HOUR, 50 * HOUR), rng),
            f"order-{rng.randrange(10**12)}",
            str(UUID(int=rng.getrandbits(128), version=4)),
        ]
    )


def events(seed: int) -> tuple[list[Decision], list[Reward]]:
    """Decisions of a few hours, and rewards up to 31 days later, before, twice, for nobody."""
    rng = random.Random(seed)
    decisions = [
        decision(an_id(rng, at), at)
        for at in (T0 + rng.choice([20, 21, 25]) * HOUR + rng.randrange(HOUR) for _ in range(60))
    ]
    if seed % 2:  # an app whose ids all tell
        decisions = [decision(minted(d.at, rng), d.at) for d in decisions]
    rewards = []
    for i, d in enumerate(rng.choices(decisions, k=110)):
        delay = rng.choice(
            [rng.randrange(-2 * HOUR, HOUR), rng.randrange(5 * HOUR), rng.choice([1, 9, 30]) * DAY - HOUR]
        )
        rewards.append(Reward(event_id=d.event_id, at=max(d.at + delay, 0), kind="click", value=1.0, reward_id=f"r{i}"))
    nobody = [minted(T0 + rng.randrange(60 * DAY), rng) for _ in range(10)] + ["nobody", minted(2**57)]
    rewards += [Reward(event_id=e, at=T0 + rng.choice([1, 9]) * DAY, kind="click", value=1.0) for e in nobody]
    rng.shuffle(rewards)
    return decisions, rewards


def accounts(store) -> dict[str, dict[str, int]]:
    return {hour: version.account for hour, version in newest(store, **SPAN).items()}


def live(folder, store, events, *, look) -> None:
    """Two hosts ship in three parts; after each, what is due is joined, and `look` is taken."""
    decisions, rewards = events
    for part in range(3):
        now = START + timedelta(days=(2, 5, 40)[part])
        for host in range(2):
            with closing(Spool(folder / f"{host}.db")) as spool:
                spool.append_decisions(decisions[part::3][host::2])
                spool.append_rewards(rewards[part::3][host::2])
                ship(spool, store, host="h")
        look(store, now)


@pytest.mark.medium
@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(s, marks=pytest.mark.full) for s in range(2, 40))])
def test_going_by_ids_finds_what_reading_everything_finds(tmp_path, seed):
    """One store is looked at by `restate`, which keeps a ledger; the other is joined whole, and has none."""
    by_ids, whole = (FolderStore(str(tmp_path / name)) for name in ("by_ids", "whole"))
    restate(by_ids, SPEC, now=START)
    assert LogLedger.read(by_ids).unindexed == {"decisions": [], "rewards": []}

    def restated(store, now):
        restate(store, SPEC, now=now)
        join_interval(store, SPEC, now=now, start=START, end=now)

    same = events(seed)
    live(tmp_path / "a", by_ids, same, look=restated)
    live(tmp_path / "b", whole, same, look=lambda store, now: join_interval(store, SPEC, now=now, start=START, end=now))
    join_interval(whole, SPEC, now=SPAN["end"], **SPAN)
    restate(by_ids, SPEC, now=SPAN["end"])
    assert LogLedger.read(whole).unindexed is None
    assert accounts(by_ids) == accounts(whole)
    frames = [read_interactions(store, **SPAN).sort("at", "event_id") for store in (by_ids, whole)]
    assert frames[0].equals(frames[1])
    total = {name: sum(a[name] for a in accounts(whole).values()) for name in ("on_time", "late", "orphan")}
    assert min(total.values()) >= 5, total


class Counting(FolderStore):
    fetched: list[str]

    def fetch(self, keys, folder):
        self.fetched = [*getattr(self, "fetched", []), *keys]
        return super().fetch(keys, folder)


def month(tmp_path, make_id) -> Counting:
    """Decisions of hours in 30 days, each in an object of its own; looked at."""
    store, hours = Counting(str(tmp_path / "store")), sorted({*range(95, 106), *range(0, 720, 24)})
    restate(store, SPEC, now=START)
    with closing(Spool(tmp_path / "log.db")) as spool:
        spool.append_decisions([decision(make_id(T0 + i * HOUR), T0 + i * HOUR + MINUTE) for i in hours])
        ship(spool, store, host="h")
    restate(store, SPEC, now=START + timedelta(days=30))
    return store


def looked_for(store, *event_ids: str) -> tuple[list[str], list[str]]:
    """The events of which a decision is found, and the hours whose decisions were read for it."""
    rewards = pl.DataFrame({"event_id": event_ids, "at": [T0 + 30 * DAY] * len(event_ids)})
    store.fetched = []
    with open_log(store) as log:
        found = pl.concat(lookup.decided(log, rewards))
    events = sorted(set(found["event_id"]) & set(event_ids))
    return events, sorted(layout.hour_of(key) for key in store.fetched if key.startswith("log/decisions/"))


def test_an_orphan_reads_three_hours_of_thirty_days(tmp_path):
    store = month(tmp_path, minted)
    assert looked_for(store, minted(T0 + 100 * HOUR)) == (
        [],
        [hour_name(T0 + i * HOUR) for i in (99, 100, 101)],
    )
    assert looked_for(store, "nobody", "ffffffff-ffff-7fff-8fff-ffffffffffff") == ([], [])
    assert looked_for(store, minted(T0 - 300 * DAY)) == ([], [])
    assert store.list("log/foreign/") == [], "where all ids tell, there is no index"


def test_a_foreign_id_is_found_by_the_index_and_no_hour_is_read(tmp_path):
    store = month(tmp_path, lambda at: f"order-{at}")
    assert looked_for(store, f"order-{T0 + 99 * HOUR}", "nobody") == ([f"order-{T0 + 99 * HOUR}"], [])


def test_hours_of_an_older_log_are_read_whole(tmp_path):
    """Objects under a host's name are from before the index."""
    store = Counting(str(tmp_path / "store"))
    with closing(Spool(tmp_path / "log.db")) as spool:
        spool.append_decisions([decision(f"e{i}", T0 + i * HOUR) for i in range(5)])
        for key in ship(spool, store, host="h").objects:
            folder, _, name = key.rpartition("/")
            store.put(f"{folder}/my-host-{name}", store.get(key))
            store.delete(key)
    for key in store.list("log/foreign/"):
        store.delete(key)
    restate(store, SPEC, now=START)
    assert LogLedger.read(store).unindexed == {"decisions": [[hour_name(T0), hour_name(T0 + 4 * HOUR)]], "rewards": []}
    assert looked_for(store, "e3") == (["e3"], [hour_name(T0 + i * HOUR) for i in range(5)])


def test_an_older_ledger_is_read_once_more_and_then_is_small(tmp_path):
    store = FolderStore(str(tmp_path / "store"))
    with closing(Spool(tmp_path / "log.db")) as spool:
        spool.append_decisions([decision("e0", T0)])
        keys = ship(spool, store, host="h").objects
        store.put(layout.RESTATED, b'{"seen": ["%s"], "now": %d}' % (keys[0].encode(), T0))
        join_interval(store, SPEC, now=START + timedelta(hours=3), **SPAN)
        spool.append_rewards([Reward(event_id="e0", at=T0 + 5, kind="click", value=1.0)])
        ship(spool, store, host="h")
    assert restate(store, SPEC, now=START + timedelta(hours=4)) == [hour_name(T0)]
    assert LogLedger.read(store).seen == ()
    assert store.list(layout.SHIPPED) == [], "what was acted on is not looked at again"
    assert restate(store, SPEC, now=START + timedelta(hours=4)) == []
