"""An interval's rows some at a time: the rows of all at once, each once, and what is equal in one shard."""

import resource

import polars as pl
import pytest

from croupier.features.interactions.parts import interval_rows
from croupier.features.interactions.parts.interval_rows import ROW, IntervalRows
from croupier.features.interactions.parts.shards_on_disk import shards_on_disk
from croupier.features.interactions.versions import empty
from croupier.features.worlds.reels import World

N = 257


@pytest.fixture(scope="module")
def rows():
    found = World(seed=3).interactions(N)
    ids = pl.when(pl.int_range(pl.len()).is_in([1, 99, 256])).then(pl.lit("twice")).otherwise("event_id")
    nobody = pl.when(pl.int_range(pl.len()).is_in([0, 130])).then(None).otherwise("unit_id")
    return pl.concat([empty(), found.with_columns(event_id=ids, unit_id=nobody)], how="diagonal_relaxed").fill_null("")


@pytest.fixture
def files(rows, tmp_path):
    """The rows as files of three hours, one of which has none."""
    paths = [tmp_path / f"{name}.parquet" for name in ("a", "b", "c")]
    for path, part in zip(paths, (rows[:100], rows[:0], rows[100:]), strict=True):
        part.write_parquet(path)
    return paths


@pytest.fixture(params=["frame", "files"])
def log(request, rows, files, monkeypatch):
    monkeypatch.setattr(interval_rows, "PART_ROWS", 40)
    monkeypatch.setattr(interval_rows, "SHARD_ROWS", 64)
    return IntervalRows.of(rows) if request.param == "frame" else IntervalRows.of_files(files)


def test_the_parts_are_all_rows_in_order(log, rows):
    parts = list(log.parts())
    assert len(log) == N
    assert not log.one_part
    assert [len(part) for part in parts] == [40] * 6 + [17]
    assert pl.concat(parts).equals(rows)


def test_a_part_has_the_columns_that_are_asked_for(log, rows):
    parts = list(log.parts("reward", "at", "no such column"))
    assert pl.concat(parts).equals(rows.select("at", "reward"))


def test_rows_are_numbered_through(log, rows):
    assert pl.concat(log.numbered("at")).equals(rows.select("at").with_row_index(ROW))


def test_rows_are_found_by_their_numbers(log, rows):
    assert log.at([0, 39, 40, 256]).equals(rows.with_row_index(ROW)[[0, 39, 40, 256]])
    assert log.at([]).equals(rows.with_row_index(ROW)[:0])


@pytest.mark.parametrize("by", ["event_id", "unit_id"])
def test_rows_that_are_equal_are_in_one_shard_and_in_order(log, rows, by):
    shards = list(log.shards(by, "at"))
    assert 3 <= len(shards) <= 5
    assert all(shard[ROW].is_sorted() for shard in shards)
    keys = [set(shard[by]) for shard in shards]
    assert sum(map(len, keys)) == rows[by].n_unique()
    assert pl.concat(shards).sort(ROW).equals(rows.select(by, "at").with_row_index(ROW).select(shards[0].columns))


def test_there_are_no_more_shards_than_files_may_be_open(rows, monkeypatch):
    monkeypatch.setattr("croupier.features.interactions.parts.shards_on_disk.MOST", 2)
    shards = list(shards_on_disk([rows[:50].select("event_id"), rows[50:].select("event_id")], "event_id", 1000))
    assert [set(a["event_id"]) & set(b["event_id"]) for a, b in [shards]] == [set()]
    assert sorted(pl.concat(shards)["event_id"]) == sorted(rows["event_id"])


def test_without_room_it_says_so(rows):
    ends = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, ends[1]))  # bytes of a file
    try:
        with pytest.raises(OSError, match=r"found no room for temporary files.* set TMPDIR"):
            list(shards_on_disk([rows.select("event_id")], "event_id", 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, ends)


def test_a_damaged_file_is_named(files):
    files[2].write_bytes(files[2].read_bytes()[:500])
    with pytest.raises(ValueError, match=r"c\.parquet: found a damaged file .* restore it from a copy"):
        IntervalRows.of_files(files)


def test_a_log_without_rows_has_no_parts():
    for log in (IntervalRows.of(empty()), IntervalRows.of_files([])):
        assert (len(log), list(log.parts()), list(log.shards("event_id")), len(log.at([]))) == (0, [], [], 0)
