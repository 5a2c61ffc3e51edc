"""The join of an app's hours, by its engine: all of them in this process, or a job an hour on a cluster.

What an hour comes to depends on the log alone (interactions/join.py), and a version is written only where it differs
from the one before; so an hour may be joined anywhere, beside others, and twice. An hour of more than
CROUPIER_JOIN_ROWS decisions is a job for each shard of its event ids, and one that merges what they come to
(interactions/joins/).
"""

import socket
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from croupier.features.engines.chosen import engine_of
from croupier.features.engines.engine import Engine, LocalEngine
from croupier.features.interactions.account import Account
from croupier.features.interactions.join import check_window, join_hours, logged_hours
from croupier.features.interactions.joins import scratch, sharded
from croupier.features.log.index.shard import Shard, fingerprint
from croupier.features.log.shipped import LogRewritten, open_log
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import Store, open_store
from croupier.features.utc import from_us, hour_start, to_us
from croupier.features.workspace import Workspace

Job = dict[str, Any]


def join(w: Workspace, hours: Sequence[str], *, now: datetime) -> Account:
    """Joins these hours as they stand at `now`, and writes those that changed. Returns the sum of their accounts.
    Raises StoreUnavailable (call again), Unbalanced, and ValueError where the engine asked for is not installed."""
    engine = engine_of(w.settings)
    if isinstance(engine, LocalEngine):
        return _here(w, list(hours), now)  # hours beside each other are read once
    asked = {
        "store": w.store.url,
        "endpoint": w.settings.s3_endpoint,
        "reward": w.spec.reward.model_dump(mode="json"),
        "now": to_us(now),
        "most": w.settings.join_rows,
    }
    jobs: list[Job] = [asked | {"hour": hour} for hour in hours]
    found = engine.map(joined_hour, jobs)
    big = [job | said for job, said in zip(jobs, found, strict=True) if said["shards"] > 1]
    return sum((Account.from_dict(said["account"]) for said in found), Account()) + by_shards(engine, w.store, big)


def _here(w: Workspace, hours: list[str], now: datetime) -> Account:
    while True:
        with suppress(LogRewritten), open_log(w.store) as log:  # what is joined must not hold a unit that was forgotten
            return join_hours(log, hours, w.spec.reward, now=now, most=w.settings.join_rows)


def by_shards(engine: Engine, store: Store, jobs: list[Job]) -> Account:
    """Joins hours of several "shards" each. Where the log was rewritten meanwhile, the hour is joined again."""
    total = Account()
    while jobs:
        scratch.sweep(store, now=jobs[0]["now"])
        plan = {"plan": scratch.new_plan(jobs[0]["now"]), "hash": fingerprint()}
        try:
            asked = [job | plan | {"shard": number} for job in jobs for number in range(job["shards"])]
            parts = iter(engine.map(joined_shard, asked))
            merges = [job | {"parts": [next(parts) for _ in range(job["shards"])]} for job in jobs]
            found = engine.map(merged_hour, merges)
        finally:
            scratch.drop(store, plan["plan"])
        total = sum((Account.from_dict(said["account"]) for said in found), total)
        jobs = [job for job, said in zip(jobs, found, strict=True) if said["again"]]
    return total


def joined_hour(job: Job) -> dict[str, Any]:
    """A job: joins and writes the "hour" of a "store" (its URL) as it stands at "now" (UTC µs), by app.toml's "reward",
    unless it has more than "most" decisions. Returns its "account", and in how many "shards" it is still to be joined:
    1 where it is done. Raises ValueError where this machine sees another store than who asks."""
    store, start = open_store(job["store"], endpoint=job["endpoint"]), from_us(hour_start(job["hour"]))
    if job["hour"] not in logged_hours(store, start=start, end=start + timedelta(hours=1)):
        raise ValueError(
            f"store: found no event of {job['hour']} in {job['store']} on {socket.gethostname()}, expected the log of "
            "who asks: every machine of the cluster must see the same store, S3 or a folder that all have mounted"
        )
    spec = RewardSpec.model_validate(job["reward"])
    check_window(spec)
    while True:
        with suppress(LogRewritten), open_log(store) as log:
            shards = sharded.shards(log.rows("decisions", job["hour"]), job["most"])
            now = from_us(job["now"])
            account = Account() if shards > 1 else join_hours(log, [job["hour"]], spec, now=now, most=0)
            return {"account": account.to_dict(), "shards": shards}


def joined_shard(job: Job) -> dict[str, Any]:
    """A job: joins the "shard" of "shards" of an hour, and keeps what it comes to in the store, below "plan". Returns
    sharded.HourPart. Raises ValueError where this machine hashes otherwise than who asks."""
    if fingerprint() != job["hash"]:
        raise ValueError(
            f"polars: found another hash of event ids on {socket.gethostname()} than where the join was asked for, so "
            "that shards would overlap; expected one build of Polars on every machine of the cluster"
        )
    store, spec = open_store(job["store"], endpoint=job["endpoint"]), RewardSpec.model_validate(job["reward"])
    while True:
        with suppress(LogRewritten), open_log(store) as log:
            ours = replace(log, shard=Shard(job["shard"], job["shards"]))
            part = sharded.joined(ours, job["hour"], spec, now=job["now"], folder=log.folder)
            return asdict(scratch.keep(ours, job["plan"], job["hour"], job["shard"], part))


def merged_hour(job: Job) -> dict[str, Any]:
    """A job: merges the "parts" of an hour, and writes it. Returns its "account"; or that the hour is to be joined
    "again", since the log was rewritten meanwhile. Raises Unbalanced, and ValueError where a part is not there."""
    store = open_store(job["store"], endpoint=job["endpoint"])
    asked = [sharded.HourPart(**part) for part in job["parts"]]
    with open_log(store) as log, tempfile.TemporaryDirectory(prefix="croupier-") as folder:
        parts = scratch.fetch(store, asked, Path(folder))
        try:
            version = sharded.version(log, job["hour"], parts, joined_at=job["now"])
        except LogRewritten:
            return {"account": Account().to_dict(), "again": True}
    return {"account": version.account, "again": False}
