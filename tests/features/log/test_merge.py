"""Small objects of closed hours become one a spool: every reader finds the same rows before, between and afterwards."""

from contextlib import closing
from datetime import timedelta

import pytest

from croupier.features.interactions.join import join_interval
from croupier.features.interactions.privacy import forget
from croupier.features.interactions.restate import restate
from croupier.features.interactions.versions import newest, partitions
from croupier.features.log.index import merge as merging
from croupier.features.log.index.merge import merge
from croupier.features.log.ship import ShipError, prune, ship
from croupier.features.log.shipped import DECISION, LogRewritten, host_of, open_log
from croupier.features.log.spool import Spool
from croupier.features.schema import Reward
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.store.partitions import whole
from croupier.features.store.storage import FolderStore
from croupier.features.utc import HOUR, from_us
from tests.features.log.test_ship import START, decisions

pytestmark = pytest.mark.medium
SPEC = RewardSpec(window_seconds=60)
NOW = from_us(START + 10 * HOUR)
SPAN = {"start": from_us(START), "end": from_us(START + 9 * HOUR)}


def filled(folder, store, hosts: int = 2, shipments: int = 6) -> list[Spool]:
    """Two hosts that ship often: two hours of decisions in turn, and a reward and a reject with each."""
    spools = [Spool(folder / f"{host}.db") for host in range(hosts)]
    for part in range(shipments):
        for host, spool in enumerate(spools):
            made = decisions(12, step=HOUR // 6, name=f"h{host}p{part}-")
            spool.append_decisions(made)
            spool.append_rewards([Reward(event_id=d.event_id, at=d.at + 5, kind="click", value=1.0) for d in made[:3]])
            spool.append_rejects([("reward", "value", b"NaN", "not_finite: value", START)])
            ship(spool, store, host=f"host{host}")
    return spools


def closed(spools) -> None:
    for spool in spools:
        spool.close()


def rows(store) -> list:
    with open_log(store) as log:
        return log.read("decisions", log.hours("decisions"), DECISION).to_dicts()


def state(store) -> dict:
    return {hour: (v.version, v.data, v.account) for hour, v in newest(store, **SPAN).items()}


def test_the_rows_and_their_order_stay_and_the_objects_are_few(tmp_path, store):
    closed(filled(tmp_path, store))
    join_interval(store, SPEC, now=NOW, **SPAN)
    before, joined, keys = rows(store), state(store), store.list("log/decisions/")
    assert len(keys) == 2 * 2 * 6
    assert merge(store, now=START + 10 * HOUR)["made"] == 2 * (2 + 2 + 1) + 2 * 1, (
        "decisions, foreign, rejects; rewards of an hour"
    )
    assert rows(store) == before
    assert set(store.list("log/decisions/")) > set(keys), "what was merged stays until the next run"
    assert merge(store, now=START + 10 * HOUR)["deleted"] > 0
    assert rows(store) == before
    left = store.list("log/decisions/")
    assert len(left) == 2 * 2
    assert {host_of(key, store.root / key) for key in left} == {"host0", "host1"}
    assert merge(store, now=START + 10 * HOUR) == {"made": 0, "deleted": 0}
    join_interval(store, SPEC, now=NOW, **SPAN)
    assert state(store) == joined, "no hour is restated by it"


def test_hours_that_are_open_or_long_gone_are_left(tmp_path, store):
    closed(filled(tmp_path, store))
    assert merge(store, now=START + HOUR) == {"made": 0, "deleted": 0}
    assert merge(store, now=START + 100 * HOUR) == {"made": 0, "deleted": 0}


def test_what_comes_later_is_merged_too_and_restates_its_hour(tmp_path, store):
    spools = filled(tmp_path, store)
    join_interval(store, SPEC, now=NOW, **SPAN)
    restate(store, SPEC, now=NOW)
    for _ in range(2):
        merge(store, now=START + 10 * HOUR)
    for i in range(3):
        spools[0].append_decisions(decisions(2, name=f"late{i}-"))
        ship(spools[0], store, host="host0")
    for _ in range(2):  # merged and deleted before `restate` comes to see the receipts
        merge(store, now=START + 10 * HOUR)
    assert restate(store, SPEC, now=NOW) == ["2019-11-24T10"]
    assert partitions(store, **SPAN)["2019-11-24T10"] == 2
    assert len([row for row in rows(store) if row["event_id"].startswith("late")]) == 6
    assert len(store.list("log/decisions/hour=2019-11-24T10/")) == 2
    closed(spools)


def test_prune_verifies_against_what_was_merged(tmp_path, store):
    spools = filled(tmp_path, store)
    for _ in range(2):
        merge(store, now=START + 10 * HOUR)
    assert prune(spools[0], store, before=START + 100 * HOUR) == 6 * (12 + 3 + 1)
    key = store.list("log/rejects/")[-1]
    mine = spools[1].id in key
    store.delete(key if mine else store.list("log/rejects/")[0])
    with pytest.raises(ShipError, match="not in the store"):
        prune(spools[1], store, before=START + 100 * HOUR)
    closed(spools)


def test_a_shipper_that_writes_a_merged_object_again_changes_nothing(tmp_path, store):
    spools = filled(tmp_path, store)
    before = rows(store)
    for _ in range(2):
        merge(store, now=START + 10 * HOUR)
    with spools[0].transaction() as db:
        db.execute("UPDATE shipments SET done = 0")
    ship(spools[0], store, host="host0")
    assert len(store.list("log/decisions/")) > 4
    assert rows(store) == before
    assert merge(store, now=START + 10 * HOUR)["deleted"] > 0
    assert len(store.list("log/decisions/")) == 4
    closed(spools)


def test_so_many_rows_are_merged_at_a_time(tmp_path, store, monkeypatch):
    monkeypatch.setattr(merging, "MOST_ROWS", 40)
    closed(filled(tmp_path, store, hosts=1, shipments=9))
    before = rows(store)
    merge(store, now=START + 10 * HOUR)
    assert rows(store) == before
    merge(store, now=START + 10 * HOUR)
    assert len(store.list("log/decisions/hour=2019-11-24T10/")) == 3
    assert rows(store) == before


def test_whoever_listed_before_reads_again(tmp_path, store):
    closed(filled(tmp_path, store))
    with open_log(store) as log:
        hours = log.hours("decisions")
        for _ in range(2):
            merge(store, now=START + 10 * HOUR)
        with pytest.raises(LogRewritten, match="read again"):
            log.read("decisions", hours, DECISION)


def test_a_unit_that_is_forgotten_meanwhile_does_not_come_back(tmp_path):
    """It is forgotten between the reading of the small objects and the writing of their one."""

    class Meanwhile(FolderStore):
        forgetting = None

        def create(self, key, data):
            if self.forgetting and key.startswith("log/decisions/"):
                forgetting, self.forgetting = self.forgetting, None
                forgetting()
            super().create(key, data)

    store = Meanwhile(str(tmp_path / "store"))
    with closing(Spool(tmp_path / "log.db")) as spool:
        for part in range(4):
            spool.append_decisions(decisions(2, name=f"p{part}-"))
            ship(spool, store, host="h")
        store.forgetting = lambda: forget(store, spool, SPEC, unit_id="u", host="h", now=NOW + timedelta(hours=1))
        merge(store, now=START + 10 * HOUR)
        assert store.forgetting is None
        assert rows(store) == []
        assert not [k for k in store.list("log/decisions/") if b"p0-00000" in store.get(k)]
        assert store.read(layout.EPOCH)[1] is not None


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["a", "b"], ["a", "b"]),
        (["aaaaaaaa-1-10", "aaaaaaaa-11-20", "aaaaaaaa-1-20"], ["aaaaaaaa-1-20"]),
        (["aaaaaaaa-1-10", "bbbbbbbb-1-20"], ["aaaaaaaa-1-10", "bbbbbbbb-1-20"]),
        (
            ["aaaaaaaa-1-20", "aaaaaaaa-21-30", "h-aaaaaaaa-1-10"],
            ["aaaaaaaa-1-20", "aaaaaaaa-21-30", "h-aaaaaaaa-1-10"],
        ),
        (["aaaaaaaa-1-40", "aaaaaaaa-1-20", "aaaaaaaa-21-30", "aaaaaaaa-31-50"], ["aaaaaaaa-1-40", "aaaaaaaa-31-50"]),
    ],
)
def test_which_objects_of_an_hour_are_read(names, kept):
    def key(name: str) -> str:
        *spool, first, last = name.split("-") if "-" in name else (name, 1, 1)
        made = f"{'-'.join(spool)}-{int(first):012d}-{int(last):012d}.parquet" if "-" in name else f"{name}.parquet"
        return f"log/decisions/hour=2019-11-24T10/{made}"

    assert whole(map(key, names)) == sorted(map(key, kept))
