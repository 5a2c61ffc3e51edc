"""The jobs of hours that are joined by shards, in this process: what machines of a cluster do, and what a killed one
leaves behind."""

from datetime import timedelta

import boto3
import pytest

from croupier.features import upkeep
from croupier.features.engines.engine import LocalEngine
from croupier.features.interactions.account import Account
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.joins import scratch
from croupier.features.interactions.versions import read_interactions
from croupier.features.joining import by_engine
from croupier.features.log.index.shard import fingerprint
from croupier.features.log.shipped import rewritten
from croupier.features.store.storage import open_store
from croupier.features.utc import to_us
from tests.features.interactions import awkward
from tests.features.interactions.awkward import NOW, SPAN, SPEC, START, state
from tests.moto_server import moto_server

HOURS = ("2026-03-28T22", "2026-03-28T23", "2026-03-29T00")


@pytest.fixture
def stores(tmp_path):
    """Two stores of the same log; the first is joined, at once."""
    whole, other = (open_store(str(tmp_path / name)) for name in ("whole", "other"))
    awkward.write(whole, tmp_path)
    for key in whole.list("log/"):
        other.create(key, whole.get(key))
    return whole, other


def asked(store, hour, **more):
    reward = SPEC.model_dump(mode="json")
    return {"store": store.url, "endpoint": "", "reward": reward, "now": to_us(NOW), "most": 40, "hour": hour, **more}


def test_jobs_by_shard_come_to_what_one_join_does_and_leave_nothing_behind(stores):
    whole, other = stores
    account = join_interval(whole, SPEC, now=NOW, **SPAN)
    hours = sorted(state(whole))
    jobs = [asked(other, hour) for hour in hours]
    said = [by_engine.joined_hour(job) for job in jobs]
    big = [job | {"shards": of["shards"]} for job, of in zip(jobs, said, strict=True) if of["shards"] > 1]
    assert [job["hour"] for job in big] == list(HOURS)
    assert {job["shards"] for job in big} == {2}
    found = by_engine.by_shards(LocalEngine(), other, big)
    assert sum((Account.from_dict(of["account"]) for of in said), found) == account
    assert state(other) == state(whole)
    assert other.list("shards/") == []
    before = other.list("")
    assert by_engine.by_shards(LocalEngine(), other, big) == found
    assert other.list("") == before, "no version more"


def test_what_a_killed_join_left_is_in_no_other_and_goes_a_day_later(stores, tmp_path, monkeypatch):
    whole, other = stores
    join_interval(whole, SPEC, now=NOW, **SPAN)
    early = {"now": to_us(NOW) - 10**9, "plan": scratch.new_plan(to_us(NOW) - 10**9), "hash": fingerprint()}
    part = by_engine.joined_shard(asked(other, HOURS[0]) | early | {"shard": 1, "shards": 3})  # of an older join
    left = other.list("shards/")
    assert left == sorted((part["data"], part["late"]))
    for hour in HOURS:
        by_engine.by_shards(LocalEngine(), other, [asked(other, hour, shards=3)])
    assert {hour: of for hour, of in state(whole).items() if hour in HOURS} == state(other)
    assert other.list("shards/") == left, "it may be that of a join that is not over"
    scratch.sweep(other, now=early["now"] + 24 * 3600 * 10**6)
    assert other.list("shards/") == left
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("CROUPIER_STORE", other.url)
    (tmp_path / "var" / "shop").mkdir(parents=True)
    (tmp_path / "var" / "shop" / "app.toml").write_text("[reward.kinds.click]\n")
    upkeep.retain("shop")  # by today's clock; what `collect_events` does
    assert other.list("shards/") == []


@pytest.mark.medium
def test_shards_lie_in_s3_as_in_a_folder(stores, monkeypatch):
    whole, _ = stores
    hour = {"start": START, "end": START + timedelta(hours=1)}
    account = join_interval(whole, SPEC, now=NOW, **hour)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with moto_server() as (_, address):
        boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1").create_bucket(Bucket="shop")
        other = open_store("s3://shop/x", endpoint=f"http://{address}")
        for key in whole.list("log/"):
            other.create(key, whole.get(key))
        job = asked(other, HOURS[0], endpoint=f"http://{address}", shards=2)
        assert by_engine.by_shards(LocalEngine(), other, [job]) == account
        rows, found = (read_interactions(store, **hour) for store in (whole, other))
        assert found.equals(rows)
        assert other.list("shards/") == []


def test_a_shard_job_that_runs_twice_keeps_one_part(stores):
    job = asked(stores[1], HOURS[0], plan=scratch.new_plan(1), hash=fingerprint(), shard=0, shards=2)
    assert by_engine.joined_shard(job) == by_engine.joined_shard(job)
    assert len(stores[1].list("shards/")) == 2


def test_a_unit_that_is_forgotten_meanwhile_has_the_hour_joined_again(stores, monkeypatch):
    """While a shard is joined its own job begins again; between the shards and their merge all of them do."""
    whole, other = stores
    join_interval(whole, SPEC, now=NOW, **SPAN)
    keep, kept = scratch.keep, []

    def once(log, *args):
        kept.append(log.epoch)
        if len(kept) == 1:
            rewritten(other)
        return keep(log, *args)

    monkeypatch.setattr(scratch, "keep", once)
    by_engine.by_shards(LocalEngine(), other, [asked(other, HOURS[0], shards=3)])
    assert len(kept) == 4, "the first shard twice"
    assert len(set(kept)) == 2
    fetch, merges = scratch.fetch, []

    def between(store, parts, folder):
        if not merges:
            rewritten(other)
        merges.append(len(parts))
        return fetch(store, parts, folder)

    monkeypatch.setattr(scratch, "fetch", between)
    by_engine.by_shards(LocalEngine(), other, [asked(other, HOURS[1], shards=2)])
    assert merges == [2, 2]
    assert {hour: state(whole)[hour] for hour in HOURS[:2]} == state(other)
    assert other.list("shards/") == []


def test_machines_that_do_not_fit_say_so_and_write_nothing(stores):
    store = stores[1]
    job = asked(store, HOURS[0], plan=scratch.new_plan(1), shard=0, shards=2)
    with pytest.raises(ValueError, match=r"polars: found another hash of event ids on .* one build of Polars"):
        by_engine.joined_shard(job | {"hash": "another"})
    part = by_engine.joined_shard(job | {"hash": fingerprint()})
    store.delete(part["late"])
    with pytest.raises(ValueError, match=r"store: found no 2026-03-28T22-0000-\w+\.late\.parquet in .* same store"):
        by_engine.merged_hour(asked(store, HOURS[0], parts=[part]))
    with pytest.raises(ValueError, match=r"reward\.window_seconds: found .* expected at most 30 days"):
        by_engine.joined_hour(job | {"reward": {"window_seconds": 31 * 86400.0}})
    assert store.list("interactions/") == []


def test_parts_are_dropped_where_a_job_fails(stores):
    with pytest.raises(ValueError, match="RewardSpec"):
        by_engine.by_shards(LocalEngine(), stores[1], [asked(stores[1], HOURS[0], shards=2) | {"reward": {"no": 1}}])
    job = asked(stores[1], HOURS[0], shards=2)
    with pytest.raises(KeyError):
        by_engine.by_shards(LocalEngine(), stores[1], [job, {name: job[name] for name in job if name != "endpoint"}])
    assert stores[1].list("shards/") == []
