"""Spool → hourly Parquet: every row once, in the hour of its event, whatever fails on the way."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import polars as pl
import pytest

import croupier.features.log.ship
from croupier.features.log import closings
from croupier.features.log.ship import ShipError, prune, ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.store.partitions import by_hour
from croupier.features.store.storage import FolderStore, StoreUnavailable
from croupier.features.utc import HOUR, hour_name, hour_start, to_us

START = to_us(datetime(2019, 11, 24, 10, tzinfo=UTC))


def decisions(n: int, *, step: int = HOUR // 10, name: str = "e") -> list[Decision]:
    return [
        Decision(
            event_id=f"{name}{i:05d}",
            at=START + i * step,
            unit_id="u",
            context={"z": i, "a": "é"},
            arms=("l", "r"),
            pmf=(0.5, 0.5),
            arm="l",
            propensity=0.5,
            policy="p",
            role="champion",
            release=1,
            arm_context=({"k": i}, {}),
        )
        for i in range(n)
    ]


def shipped(store, kind: str = "decisions") -> list[dict]:
    keys = store.list(f"log/{kind}/")
    return [row for key in keys for row in pl.read_parquet(BytesIO(store.get(key))).iter_rows(named=True)]


def test_rows_land_once_in_the_hour_of_their_event(spool, store):
    events = decisions(25)
    spool.append_decisions(events)
    spool.append_rewards([Reward(event_id="e", at=START + 5 * HOUR, kind="click", value=2)])
    spool.append_rejects([("reward", "value", b"NaN", "not finite", START)])
    report = ship(spool, store, host="h")
    assert (report.decisions, report.rewards, report.rejects, len(report.objects)) == (25, 1, 1, 5)
    assert [Decision.from_row(row) for row in shipped(store)] == events
    assert {hour: len(keys) for hour, keys in by_hour(store.list("log/decisions/")).items()} == {
        "2019-11-24T10": 1,
        "2019-11-24T11": 1,
        "2019-11-24T12": 1,
    }
    for key in store.list("log/decisions/"):
        hour = key.partition("hour=")[2][:13]
        assert {hour_name(at) for at in pl.read_parquet(BytesIO(store.get(key)))["at"]} == {hour}
    assert shipped(store, "rewards") == [
        {"event_id": "e", "at": START + 5 * HOUR, "kind": "click", "value": 2.0, "reward_id": ""}
    ]
    assert shipped(store, "rejects") == [
        {"kind": "reward", "field": "value", "raw": "NaN", "reason": "not finite", "at": START}
    ]


def test_shipping_again_ships_only_what_is_new(spool, store):
    spool.append_decisions(decisions(3))
    ship(spool, store, host="h")
    assert ship(spool, store, host="h").to_dict() == {"decisions": 0, "rewards": 0, "rejects": 0, "objects": []}
    spool.append_decisions(decisions(2, name="f"))
    assert ship(spool, store, host="h").decisions == 2
    assert sorted(row["event_id"] for row in shipped(store)) == ["e00000", "e00001", "e00002", "f00000", "f00001"]


class Failing(FolderStore):
    """Fails the nth write, before it happened or after."""

    def __init__(self, url: str, *, nth: int, after: bool) -> None:
        super().__init__(url)
        self.left, self.after = nth, after

    def create(self, key: str, data: bytes) -> None:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise StoreUnavailable("planted")
        super().create(key, data)
        if self.left == 0:
            raise StoreUnavailable("planted: written, but the answer was lost")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_an_outage_at_any_write_loses_and_doubles_nothing(spool, tmp_path, monkeypatch, nth, after):
    monkeypatch.setattr(croupier.features.log.ship, "ROWS", 15)
    spool.append_decisions(decisions(25))
    store = Failing(str(tmp_path / "store"), nth=nth, after=after)
    with pytest.raises(StoreUnavailable):
        ship(spool, store, host="h")
    spool.append_decisions(decisions(5, name="new"))  # life goes on before the retry
    ship(spool, store, host="h")
    ids = [row["event_id"] for row in shipped(store)]
    assert sorted(ids) == sorted(e.event_id for e in decisions(25) + decisions(5, name="new"))
    assert ship(spool, store, host="h").objects == []


def test_two_shippers_at_once_ship_once(tmp_path, store, monkeypatch):
    monkeypatch.setattr(croupier.features.log.ship, "ROWS", 7)
    spools = [Spool(tmp_path / "log.sqlite") for _ in range(3)]
    spools[0].append_decisions(decisions(100))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda spool: ship(spool, store, host="h"), spools))
    assert sorted(row["event_id"] for row in shipped(store)) == [e.event_id for e in decisions(100)]
    for spool in spools:
        spool.close()


def test_a_foreign_object_under_our_name_is_an_error_not_a_loss(spool, store):
    spool.append_decisions(decisions(3))
    key = ship(spool, store, host="h").objects[0]
    with spool.transaction() as db:
        db.execute("UPDATE shipments SET done = 0")
    other = pl.read_parquet(BytesIO(store.get(key))).head(2)
    other.write_parquet(store.root / key)
    with pytest.raises(ShipError, match="found 2 other rows"):
        ship(spool, store, host="h")


def test_prune_deletes_only_what_is_old_and_verified(spool, store):
    old, young = decisions(5), decisions(5, name="y", step=HOUR)
    spool.append_decisions(old)
    ship(spool, store, host="h")
    spool.append_decisions(young)
    ship(spool, store, host="h")
    assert prune(spool, store, before=START + 2 * HOUR) == 5
    assert [i for i, _ in spool.read("decisions")] == [6, 7, 8, 9, 10]
    assert spool.counts()["decisions"] == 10
    assert ship(spool, store, host="h").objects == []
    assert len(shipped(store)) == 10

    store.delete(store.list("log/decisions/")[-1])
    with pytest.raises(ShipError, match="not in the store"):
        prune(spool, store, before=START + 100 * HOUR)
    assert len(spool.read("decisions")) == 5


def test_unshipped_rows_are_never_pruned(spool, store):
    spool.append_decisions(decisions(5))
    assert prune(spool, store, before=START + 100 * HOUR) == 0
    assert len(spool.read("decisions")) == 5


def test_hours_are_utc_and_exact():
    assert hour_name(0) == "1970-01-01T00"
    assert hour_name(HOUR - 1) == "1970-01-01T00"
    assert hour_name(-1) == "1969-12-31T23"
    assert hour_start("2019-11-24T10") == START
    assert hour_name(4_102_444_799_999_999) == "2099-12-31T23"


def test_closings_go_with_the_decisions_they_closed_and_readers_conclude_the_same(spool, store):
    """A decision an hour, each closed by itself an hour later; the last ones are still open."""
    events = decisions(24, step=HOUR)
    for i, d in enumerate(events):
        spool.append_decisions([d])
        closings.close_windows(spool, START + (i - 1) * HOUR)
    ship(spool, store, host="h")
    ids = [row[0] for row in spool.db.execute("SELECT id FROM closings ORDER BY id")]
    assert len(ids) == 23
    before = concluded(spool)
    prune(spool, store, before=START + 23 * HOUR)  # one shipment: it stays, as a whole
    assert concluded(spool) == before
    prune(spool, store, before=START + 24 * HOUR)
    assert [row[0] for row in spool.db.execute("SELECT id FROM closings")] == ids[-1:], "the newest says how far it is"
    assert closings.closing(spool, ids[0]) == closings.Closing()


def test_closings_that_still_cover_a_decision_stay(spool, store):
    """Three shipments; the clock of the second one's host was a day behind, so old rows stand among the new."""
    for part, shift in enumerate((0, 30 * HOUR, 10 * HOUR)):
        made = [replace(d, at=d.at + shift) for d in decisions(4, step=HOUR, name=f"p{part}-")]
        spool.append_decisions(made)
        for d in made:
            closings.close_windows(spool, d.at)
        ship(spool, store, host="h")
    closed = concluded(spool)
    assert prune(spool, store, before=START + 5 * HOUR) == 4
    left = concluded(spool)
    assert set(left) < set(closed)
    assert sorted(event for found in left.values() for event in found) == sorted(
        event for found in closed.values() for event in found if not event.startswith("p0")
    )
    assert all(left[number] == closed[number] for number in left), "each by the same closing as before"
    assert prune(spool, store, before=START + 100 * HOUR) == 8
    assert list(concluded(spool).values()) == [[]]
    assert not closings.close_windows(spool, START), "it never goes back"


def concluded(spool):
    """Closing → the events whose window it ended."""
    last, found = closings.Closing(), {}
    while this := closings.next_closing(spool, last.id):
        found[this.id] = [d.event_id for _, d in closings.closed_between(spool, last, this, {1})]
        last = this
    return found
