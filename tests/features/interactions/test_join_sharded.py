"""An hour shard by shard comes to what it comes to at once: rows and late rewards in the same order, account, version."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croupier.features.interactions import versions
from croupier.features.interactions.account import Account, Unbalanced
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.joins import merged, sharded
from croupier.features.interactions.restate import restate
from croupier.features.interactions.versions import newest
from croupier.features.log.index.ledger import LogLedger
from croupier.features.log.index.shard import Shard
from croupier.features.log.shipped import REWARD, LogRewritten, ShippedLog, open_log, read_rows, rewritten
from croupier.features.schema import Reward
from croupier.features.store import parquet
from croupier.features.store.storage import open_store
from croupier.features.utc import SECOND
from tests.features.interactions import awkward
from tests.features.interactions.awkward import NOW, SPAN, SPEC, T0, state

LATER = [Reward(event_id=awkward.decided(1, i)[0], at=T0 + 3700 * SECOND, kind="click", value=2.0) for i in range(20)]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Frames of a few rows, so that a merge and a comparison have many of them."""
    monkeypatch.setattr(sharded, "HELD", 20)
    monkeypatch.setattr(parquet, "GROUP", 16)
    monkeypatch.setattr(versions, "ROWS", 30)


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logged")
    store = open_store(str(folder / "store"))
    awkward.write(store, folder)
    return store


@pytest.fixture
def stores(logged, tmp_path):
    """Two stores of the same log."""
    found = [open_store(str(tmp_path / name)) for name in ("whole", "sharded")]
    for store in found:
        for key in logged.list("log/"):
            store.create(key, logged.get(key))
    return found


def by_shards(store, of, now=NOW):
    """Joins every hour in so many shards, as small as it is."""
    with open_log(store) as log:
        hours = sorted(set().union(*(log.hours(kind) for kind in ("decisions", "rewards", "rejects"))))
        at = int(now.timestamp() * 1e6)
        return sum((sharded.join(log, hour, of, SPEC, now=at) for hour in hours), Account())


@pytest.mark.parametrize("of", [1, 2, pytest.param(7, marks=pytest.mark.medium)])
def test_rows_accounts_and_versions_are_those_of_one_join(stores, of):
    whole, parts = stores
    account = join_interval(whole, SPEC, now=NOW, **SPAN)
    assert by_shards(parts, of) == account
    assert state(parts) == state(whole)
    assert parts.list("interactions/") == whole.list("interactions/"), "the same bytes: the keys have their digests"
    events = account.to_dict()
    assert {name for name, count in events.items() if not count} == {"quarantined", "outside", "untimely"}
    for store in stores:
        awkward.hold(store)
    assert join_interval(whole, SPEC, now=NOW, **SPAN).quarantined == 3
    by_shards(parts, of)
    assert state(parts) == state(whole), "restated, with what changed"
    before = parts.list(""), whole.list("")
    by_shards(whole, of)
    join_interval(parts, SPEC, now=NOW + timedelta(seconds=1), **SPAN)
    assert (parts.list(""), whole.list("")) == before, "no version more, whoever joins"


@pytest.mark.medium
def test_a_big_hour_alone_is_joined_by_shards_and_restated_so(stores, tmp_path, monkeypatch):
    whole, parts = stores
    joined, told = sharded.joined, []

    def noted(log, hour, *args, **kwargs):
        told.append((hour, log.shard))
        return joined(log, hour, *args, **kwargs)

    monkeypatch.setattr(sharded, "joined", noted)
    assert join_interval(parts, SPEC, now=NOW, most=40, **SPAN) == join_interval(whole, SPEC, now=NOW, most=0, **SPAN)
    hours = ("2026-03-28T22", "2026-03-28T23", "2026-03-29T00")
    assert told == [(hour, Shard(n, 2)) for hour in hours for n in (0, 1)], "the fourth has few"
    for store in stores:
        awkward.write(store, tmp_path, hosts=[f"new-{store.url[-5:]}"], only=LATER)
    told.clear()
    restated = restate(parts, SPEC, now=NOW, most=40)
    monkeypatch.setattr(versions, "ROWS", 10_000)  # what changed is counted at once, and above in some shards
    assert restated == restate(whole, SPEC, now=NOW, most=0)
    assert ("2026-03-28T23", Shard(1, 2)) in told
    assert state(parts) == state(whole)
    assert newest(parts, **SPAN)["2026-03-28T23"].changed["rewards_changed"] > 5
    before = parts.list("interactions/")
    assert LogLedger.read(parts).older_hours("rewards", T0, T0 + 10**12) == [], "by now ids are looked up in the index"
    assert by_shards(parts, 5) == join_interval(whole, SPEC, now=NOW, most=0, **SPAN)
    assert parts.list("interactions/") == before


def test_a_last_row_that_differs_makes_a_version_and_other_bytes_of_the_same_rows_make_none(stores):
    store, hour = stores[0], "2026-03-28T22"
    join_interval(store, SPEC, now=NOW, **SPAN)
    version = newest(store, **SPAN)[hour]
    data = read_rows(store.fetch([version.data], None), versions.empty().schema)
    late, account = pl.DataFrame(schema=REWARD), Account.from_dict(version.account)
    last = pl.int_range(pl.len()) == len(data) - 1
    other = data.with_columns(stage=pl.when(last).then(pl.lit("another")).otherwise("stage"))
    with open_log(store) as log:
        chunked = pl.concat([data[:7], data[7:]], rechunk=False)
        assert versions.commit(log, hour, chunked, late, account, joined_at=1) == version
        made = versions.commit(log, hour, other, late, account, joined_at=1)
    assert (made.version, made.changed) == (2, {})


def parts_of(store, folder, of=3):
    with open_log(store) as log:
        folder.mkdir()
        shards = (replace(log, shard=Shard(n, of)) for n in range(of))
        return [sharded.joined(log, "2026-03-28T22", SPEC, now=T0 + 10**10, folder=folder) for log in shards]


def test_parts_that_do_not_fit_together_make_no_version(stores, tmp_path):
    store, _ = stores
    parts = parts_of(store, tmp_path / "parts")
    with open_log(store) as log:
        for some in (parts[:2], [*parts, parts[0]]):
            with pytest.raises(
                Unbalanced, match=r"T22: found \d+ decisions in its \d shards, expected the \d+ of its log"
            ):
                sharded.version(log, "2026-03-28T22", some, joined_at=0)
        other = replace(parts[0], seen=parts[0].seen | {"objects": []})
        with pytest.raises(LogRewritten, match="different logs"):
            sharded.version(log, "2026-03-28T22", [other, *parts[1:]], joined_at=0)
    rewritten(store)  # a unit was forgotten
    with open_log(store) as log, pytest.raises(LogRewritten, match="a unit was forgotten since"):
        sharded.version(log, "2026-03-28T22", parts, joined_at=0)
    assert store.list("interactions/") == []


def test_a_unit_that_is_forgotten_while_shards_are_joined_is_in_no_version(stores, monkeypatch):
    whole, parts = stores
    join_interval(whole, SPEC, now=NOW, **SPAN)
    version, seen = sharded.version, []

    def late(log, hour, *args, **kwargs):
        if not seen:
            rewritten(parts)
        seen.append(hour)
        return version(log, hour, *args, **kwargs)

    monkeypatch.setattr(sharded, "version", late)
    join_interval(parts, SPEC, now=NOW, most=40, **SPAN)
    assert seen[:2] == ["2026-03-28T22"] * 2, "taken back, and joined again"
    assert state(parts) == state(whole)


def test_an_hour_whose_objects_change_while_a_shard_is_read_is_read_again(stores, tmp_path, monkeypatch):
    """The size of its objects is asked for before, and after: a unit is being forgotten just then."""
    store, _ = stores
    counts = iter([144, 143])
    monkeypatch.setattr(ShippedLog, "rows", lambda *_: next(counts))
    with pytest.raises(LogRewritten, match="its objects changed while they were read"):
        parts_of(store, tmp_path / "parts")


def test_how_many_shards_an_hour_has():
    assert [sharded.shards(n, 100) for n in (0, 1, 100, 101, 200, 201)] == [1, 1, 1, 2, 2, 3]
    assert sharded.shards(10**9, 0) == 1
    assert sharded.shards(10**9, 1) == 128


def test_each_id_is_in_one_shard_and_events_without_an_id_are_in_the_first():
    ids = pl.LazyFrame({"event_id": [f"e{i}" for i in range(1000)]})
    found = [Shard(n, 7).rows(ids, ids.collect_schema()).collect() for n in range(7)]
    assert sorted(pl.concat(found)["event_id"]) == sorted(ids.collect()["event_id"])
    assert all(100 < len(some) < 200 for some in found)
    bare = pl.LazyFrame({"raw": ["x", "y"]})
    assert [Shard(n, 3).rows(bare, bare.collect_schema()).collect().height for n in range(3)] == [2, 0, 0]


keys = st.lists(st.tuples(st.integers(0, 5), st.text("abé", max_size=2)), unique=True, max_size=60)


@settings(deadline=None, database=None, derandomize=True)
@given(keys, st.integers(1, 4), st.integers(1, 9))
def test_a_merge_is_a_sort_that_keeps_the_order_of_equals_of_a_part(rows, of, size):
    frame = pl.DataFrame(rows, schema={"at": pl.Int64, "id": pl.String}, orient="row")
    parts = [frame.filter(pl.int_range(pl.len()) % of == n).sort("at", "id") for n in range(of)]
    cut = (iter([part[:0], *(part[i : i + size] for i in range(0, len(part), size))]) for part in parts)
    found = pl.concat([frame[:0], *merged.merged(cut, ("at", "id"))])
    assert found.rows() == sorted(rows)
    groups = [pl.DataFrame({"id": [n] * 5, "order": range(5)}) for n in range(of)]
    cut = (iter([part[i : i + size] for i in range(0, 5, size)]) for part in groups)
    assert pl.concat(merged.merged(cut, ("id",))).rows() == [(n, i) for n in range(of) for i in range(5)]
