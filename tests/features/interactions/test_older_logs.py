"""A log that an older croupier wrote, from before `took_us`: read, joined, verified and pruned like one of today."""

from io import BytesIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from croupier.features.exchange.tables.tabular import TableSource
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import newest, read_interactions
from croupier.features.log.ship import ShipError, prune, ship
from croupier.features.log.spool import Spool
from croupier.features.schema import ADDED, Decision, Reward
from croupier.features.spec import RewardSpec
from croupier.features.store.parquet import bytes_of
from croupier.features.store.storage import FolderStore
from croupier.features.utc import from_us

START = 1_574_589_600_000_000
DAY = 86_400_000_000


def decisions(name, took_us):
    return [
        Decision(
            event_id=f"{name}{i}",
            at=START + i,
            unit_id="u",
            context={},
            arms=("l", "r"),
            pmf=(0.5, 0.5),
            arm="l",
            propensity=0.5,
            policy="p",
            role="champion",
            release=1,
            took_us=took_us,
        )
        for i in range(3)
    ]


@pytest.fixture
def house(tmp_path):
    """Store and spool; the first three decisions are as an older croupier wrote them, here and there."""
    store, spool = FolderStore(str(tmp_path / "store")), Spool(tmp_path / "log.db")
    spool.append_decisions(decisions("old", 0))
    with spool.transaction() as db:
        db.execute("UPDATE decisions SET body = CAST(json_remove(body, '$.took_us', '$.arm_features') AS BLOB)")
    assert b"took_us" not in spool.read("decisions", 0, 1)[0][1]
    ship(spool, store, host="h")
    (key,) = store.list("log/decisions/")
    _without_column(store, key)
    yield store, spool
    spool.close()


def _without_column(store, key):
    older = pq.read_table(BytesIO(store.get(key))).drop_columns(list(ADDED))
    store.put(key, bytes_of(older))


def join(store):
    now = from_us(START + DAY)
    join_interval(store, RewardSpec(), start=from_us(START), end=now, now=now)
    return read_interactions(store, start=from_us(START), end=now)


def test_old_and_new_rows_of_an_hour_are_joined_together(house):
    store, spool = house
    spool.append_decisions(decisions("new", 7))
    spool.append_rewards([Reward(event_id="old1", at=START + 5, kind="click", value=1.0)])
    ship(spool, store, host="h")
    frame = join(store).sort("event_id")
    assert frame["event_id"].to_list() == ["new0", "new1", "new2", "old0", "old1", "old2"]
    assert frame["took_us"].to_list() == [7, 7, 7, 0, 0, 0]
    assert frame["reward"].to_list() == [0, 0, 0, 0, 1, 0]
    assert spool.find(["old0"])["old0"].took_us == 0


def test_an_hour_joined_before_is_no_other_hour_now(house):
    store, _ = house
    join(store)
    (old,) = newest(store, start=from_us(START), end=from_us(START + DAY)).values()
    _without_column(store, old.data)
    assert join(store)["took_us"].to_list() == [0, 0, 0]
    assert [v.version for v in newest(store, start=from_us(START), end=from_us(START + DAY)).values()] == [1]


def test_old_objects_are_verified_before_the_spool_lets_go(house):
    store, spool = house
    (key,) = store.list("log/decisions/")
    whole = store.get(key)
    table = pq.read_table(BytesIO(whole))
    wrong = table.set_column(table.schema.get_field_index("arm"), "arm", pa.array(["r", "l", "l"]))
    store.put(key, bytes_of(wrong))
    with pytest.raises(ShipError, match="3 other rows"):
        prune(spool, store, before=START + DAY)
    store.put(key, whole)
    assert prune(spool, store, before=START + DAY) == 3


def test_an_old_export_is_still_known_as_a_log_of_our_own(house, tmp_path):
    store, _ = house
    join(store).drop(list(ADDED)).write_parquet(tmp_path / "export.parquet")
    assert "role" in pl.read_parquet_schema(tmp_path / "export.parquet")
    assert TableSource(tmp_path / "export.parquet", unit_key="k", columns={}).features == []
