"""Both stores keep the same promises: whole writes, create-once, swap by version. S3 is a moto server over HTTP."""

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import boto3
import pytest

from croupier.features.interactions.join import join_interval
from croupier.features.interactions.privacy import forget
from croupier.features.interactions.restate import restate
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import prune, ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import AlreadyExists, Conflict, Store, StoreUnavailable, open_store
from croupier.features.utc import HOUR, to_us
from tests.moto_server import moto_server


@pytest.fixture(scope="module")
def s3_endpoint():
    with moto_server() as (_, address):
        yield f"http://{address}"


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    endpoint = request.getfixturevalue("s3_endpoint")
    bucket = f"b-{uuid4().hex}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
    return open_store(f"s3://{bucket}/some/prefix", endpoint=endpoint)


@pytest.mark.medium
def test_put_get_list_delete(store):
    with pytest.raises(KeyError):
        store.get("a/b")
    store.put("a/b", b"one")
    store.put("a/b", b"two")
    store.put("a/c/d", b"")
    store.put("ab", b"x")
    assert store.get("a/b") == b"two"
    assert store.list("a/") == ["a/b", "a/c/d"]
    assert store.list("a") == ["a/b", "a/c/d", "ab"]
    assert store.list("") == ["a/b", "a/c/d", "ab"]
    assert store.list("nothing/here") == []
    store.delete("a/b")
    store.delete("a/b")
    assert store.list("") == ["a/c/d", "ab"]


@pytest.mark.medium
def test_a_file_is_written_once_as_bytes_are(store, tmp_path):
    (tmp_path / "first").write_bytes(b"one")
    (tmp_path / "second").write_bytes(b"two")
    store.create("a", tmp_path / "first")
    for again in (tmp_path / "second", b"two"):
        with pytest.raises(AlreadyExists):
            store.create("a", again)
    store.put("b", tmp_path / "second")
    assert [store.get("a"), store.get("b")] == [b"one", b"two"]


@pytest.mark.medium
def test_what_lies_between_two_names_is_listed_and_nothing_else(store):
    for name in ("hour=01/a", "hour=02/a", "hour=02/b/c", "hour=03/a", "hour=04/a", "other"):
        store.put(f"log/{name}", b"")
    store.put("logs/hour=02/a", b"")
    assert store.between("log/hour=", "02", "03~") == ["log/hour=02/a", "log/hour=02/b/c", "log/hour=03/a"]
    assert store.between("log/hour=", "05", "99~") == []
    assert store.between("nothing/hour=", "01", "02~") == []
    assert store.between("log/hour=", "", "01~") == ["log/hour=01/a"]


def test_create_writes_once(store):
    store.create("k", b"first")
    with pytest.raises(AlreadyExists):
        store.create("k", b"second")
    assert store.get("k") == b"first"


def test_create_race_has_one_winner(store):
    barrier = threading.Barrier(8)

    def attempt(i: int) -> int:
        barrier.wait()
        try:
            store.create("race", b"%d" % i)
        except AlreadyExists:
            return -1
        return i

    with ThreadPoolExecutor(8) as pool:
        winners = [i for i in pool.map(attempt, range(8)) if i >= 0]
    assert len(winners) == 1
    assert store.get("race") == b"%d" % winners[0]


def test_swap_replaces_only_what_was_read(store):
    assert store.read("s") == (b"", None)
    store.swap("s", b"1", None)
    with pytest.raises(Conflict):
        store.swap("s", b"x", None)
    data, version = store.read("s")
    assert data == b"1"
    store.swap("s", b"2", version)
    with pytest.raises(Conflict):
        store.swap("s", b"3", version)
    assert store.get("s") == b"2"


def test_swap_of_a_missing_object_conflicts(store):
    store.put("other", b"1")
    version = store.read("other")[1]
    with pytest.raises(Conflict):
        store.swap("gone", b"1", version)


@pytest.mark.medium
def test_concurrent_increments_lose_none(store):
    store.put("n", b"0")

    def increment(_: int) -> None:
        while True:
            data, version = store.read("n")
            try:
                return store.swap("n", b"%d" % (int(data) + 1), version)
            except Conflict:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, range(20)))
    assert store.get("n") == b"20"


def test_fetch_gives_readable_files(store, tmp_path):
    store.put("x/1", b"a")
    store.put("x/2", b"b")
    assert [path.read_bytes() for path in store.fetch(["x/2", "x/1"], tmp_path / "here")] == [b"b", b"a"]


@pytest.mark.parametrize("key", ["", "/abs", "a/../b", ".hidden", "a/.tmp-x"])
def test_unusable_keys_are_refused(store, key):
    with pytest.raises(ValueError, match="key: found"):
        store.put(key, b"")


def test_unknown_scheme():
    with pytest.raises(ValueError, match="expected a folder or s3"):
        open_store("gs://bucket")


def test_an_outage_is_named(tmp_path):
    nobody = open_store("s3://bucket/p", endpoint="http://127.0.0.1:1")
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
    with pytest.raises(StoreUnavailable):
        nobody.get("k")
    folder = open_store(str(tmp_path / "f"))
    (tmp_path / "f" / "a").write_bytes(b"a file where a folder should be")
    with pytest.raises(StoreUnavailable):
        folder.put("a/b", b"")


@pytest.mark.medium
def test_the_log_lives_in_either_store(store, tmp_path):
    """Ship, join, restate, forget and read back: the same answers from a folder and from S3."""
    start, spool, spec = datetime(2026, 1, 1, tzinfo=UTC), Spool(tmp_path / "log.db"), RewardSpec(window_seconds=60)
    span = {"start": start, "end": start + timedelta(hours=2)}
    spool.append_decisions(
        [
            Decision(
                event_id=f"e{i}",
                at=to_us(start) + i * HOUR,
                unit_id=f"u{i}",
                context={},
                arms=("a",),
                pmf=(1.0,),
                arm="a",
                propensity=1.0,
                policy="p",
                role="champion",
                release=1,
            )
            for i in range(2)
        ]
    )
    ship(spool, store, host="h")
    assert join_interval(store, spec, now=start + timedelta(days=1), **span).interactions == 2
    spool.append_rewards([Reward(event_id="e1", at=to_us(start) + HOUR + 5, kind="click", value=1.0)])
    ship(spool, store, host="h")
    assert restate(store, spec, now=start + timedelta(days=1)) == ["2026-01-01T01"]
    assert read_interactions(store, **span)["reward"].to_list() == [0.0, 1.0]
    forget(store, spool, spec, unit_id="u0", host="h", now=start + timedelta(days=1))
    assert read_interactions(store, **span)["event_id"].to_list() == ["e1"]
    assert prune(spool, store, before=to_us(span["end"])) == 2
    spool.close()


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://a bucket/prefix", "gs://bucket/prefix"])
def test_an_address_of_no_store_is_named(url):
    with pytest.raises(ValueError, match=rf"^store: found '{url}', expected a folder or s3://bucket/prefix$"):
        open_store(url)


def test_a_folder_that_cannot_be_one_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for url, why in ((file, "File exists"), (file / "below", "Not a directory")):
        said = f"store: found '{url}' ({why}), expected a folder"
        with pytest.raises(StoreUnavailable, match="^" + re.escape(said) + "$"):
            open_store(str(url))


def test_a_profile_or_a_configuration_that_cannot_be_read_is_an_outage(tmp_path, monkeypatch):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers what it read
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreUnavailable, match=r"^s3://bucket/p: The config profile \(nobody\) could not be found$"):
        open_store("s3://bucket/p")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.delenv("AWS_PROFILE")
    (tmp_path / "config").write_text("no = section\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(StoreUnavailable, match=r"^s3://bucket/p: Unable to parse config file"):
        open_store("s3://bucket/p")
