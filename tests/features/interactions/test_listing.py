"""What a look at one hour lists and reads does not grow with the days that are kept: counted on real stores, of which
one keeps a day, the other many."""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from croupier.features.health import kept
from croupier.features.interactions import hours, judged_hours, quarantine
from croupier.features.interactions.join import join_interval, matured
from croupier.features.interactions.privacy import expire
from croupier.features.interactions.restate import restate
from croupier.features.interactions.versions import newest, read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.shipped import open_log
from croupier.features.log.spool import Spool
from croupier.features.schema import Reward
from croupier.features.spec import AppSpec
from croupier.features.store.storage import FolderStore, S3Store
from croupier.features.utc import HOUR, hour_name, to_us
from tests.minted import decision, minted
from tests.moto_server import moto_server

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LAST = NOW - timedelta(hours=3)  # the newest hour that is kept
SPEC = AppSpec()
HOSTS = 3


class Counted:
    """Counts the keys that calls list, and the objects that they read."""

    listed = read_objects = 0

    def list(self, prefix):
        found = super().list(prefix)
        self.listed += len(found)
        return found

    def between(self, prefix, first, last):
        found = super().between(prefix, first, last)
        self.listed += len(found)
        return found

    def get(self, key):
        self.read_objects += 1
        return super().get(key)

    def fetch(self, keys, folder):
        self.read_objects += len(keys)
        return super().fetch(keys, folder)


class CountedFolder(Counted, FolderStore):
    def keep(self, key: str, like: str) -> None:
        """A link: as an object of its own, in no time."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(self.root / like, path)


class CountedS3(S3Store):
    """Counts what the service answers, also what a page brings beyond what was asked."""

    def __init__(self, url, endpoint):
        super().__init__(url, endpoint=endpoint)
        self.listed = self.read_objects = 0
        events = self._s3.meta.events
        events.register("after-call.s3.ListObjectsV2", self._count_listed)
        events.register("after-call.s3.GetObject", self._count_read)

    def _count_listed(self, parsed, **_):
        self.listed += len(parsed.get("Contents", []))

    def _count_read(self, **_):
        self.read_objects += 1

    def keep(self, key: str, like: str) -> None:
        self._s3.copy_object(
            Bucket=self.bucket, Key=self._full(key), CopySource={"Bucket": self.bucket, "Key": self._full(like)}
        )


def kept_days(store, folder: Path, days: int) -> Spool:
    """A store of so many days: the last hour is real, joined and looked at; every earlier one has as many objects."""
    begin, hour, template = to_us(LAST), hour_name(to_us(LAST)), hour_name(to_us(LAST) - 9 * HOUR)
    for host in range(HOSTS):
        with closing(Spool(folder / f"{host}.db")) as spool:
            for at in (begin, begin - 9 * HOUR):
                made = [decision(minted(at + i), at + i) for i in range(5)]
                spool.append_decisions(made)
                spool.append_rewards([Reward(event_id=made[0].event_id, at=at + 9, kind="click", value=1.0)])
            ship(spool, store, host="h")
    span = {"start": LAST, "end": LAST + timedelta(hours=1)}
    join_interval(store, SPEC.reward, now=NOW, **span)
    (version,) = newest(store, **span).values()
    hours.record(store, version, hours.Checked(passed=True, rows=5 * HOSTS))
    kept.keep(store, SPEC, **span)
    restate(store, SPEC.reward, now=NOW)
    logged = [key for key in store.list("log/") if template in key]
    others = [key for key in store.list("") if f"hour={hour}/" in key and not key.startswith("log/")]
    for earlier in range(1, 24 * days):
        of = hour_name(begin - earlier * HOUR)
        for key in [key.replace(template, of) for key in logged if of != template]:
            store.keep(key, key.replace(of, template))
        for key in others:
            store.keep(key.replace(hour, of), key)
    return Spool(folder / "0.db")


def looks(store, spool: Spool) -> Iterator[tuple[str, object]]:
    """What is done with one hour, and what it must come to."""
    span = {"start": LAST, "end": LAST + timedelta(hours=1)}
    hour = hour_name(to_us(LAST))

    def logged() -> int:
        with open_log(store) as log:
            return len(log.read("decisions", log.hours("decisions", to_us(LAST), to_us(LAST)), kept.EVENT))

    first = Reward(event_id=orphan_of(spool), at=to_us(LAST) + 10, kind="click", value=2.0, reward_id="late")
    yield "open_log", lambda: logged() == 5 * HOSTS
    yield "matured", lambda: len(matured(store, SPEC.reward, now=NOW, **span)) == 5 * HOSTS
    yield "join", lambda: join_interval(store, SPEC.reward, now=NOW, **span).interactions == 5 * HOSTS
    yield "read", lambda: len(read_interactions(store, **span)) == 5 * HOSTS
    yield "ship", lambda: spool.append_rewards([first]) == [True] and ship(spool, store, host="h").rewards == 1
    yield "restate", lambda: restate(store, SPEC.reward, now=NOW) == [hour]
    yield "figures", lambda: kept.keep(store, SPEC, **span) == [hour] and len(kept.read(store, **span)) == 1
    yield "quality", lambda: judged_hours.quality_of(store, {hour: 1}, [hour]).failed == ()
    yield "quarantine", lambda: quarantine.states(store, [hour]) == {}
    yield "expire", lambda: expire(store, days=500, now=NOW) == []


def orphan_of(spool: Spool) -> str:
    return next(iter(spool.db.execute("SELECT event_id FROM decisions ORDER BY id LIMIT 1")))[0]


def counts(store, folder: Path, days: int) -> dict[str, tuple[int, int]]:
    folder.mkdir(exist_ok=True)
    spool, found = kept_days(store, folder, days), {}
    for name, look in looks(store, spool):
        listed, read = store.listed, store.read_objects
        assert look(), name
        found[name] = (store.listed - listed, store.read_objects - read)
    spool.close()
    return found


MOST = {"listed": 40, "read": 40}  # of one look, with three hosts


@pytest.mark.slow
@pytest.mark.parametrize("days", [40, pytest.param(400, marks=pytest.mark.full)])
def test_a_look_at_one_hour_lists_and_reads_the_same_whatever_is_kept(tmp_path, days):
    few = counts(CountedFolder(str(tmp_path / "few")), tmp_path / "a", 1)
    many = counts(CountedFolder(str(tmp_path / "many")), tmp_path / "b", days)
    assert few == many
    assert max(listed for listed, _ in many.values()) <= MOST["listed"], many
    assert max(read for _, read in many.values()) <= MOST["read"], many
    assert few["join"][1] >= 3 + 3, "it does read the hour's objects"


@pytest.mark.slow
@pytest.mark.parametrize("days", [4, pytest.param(60, marks=pytest.mark.full)])
def test_a_look_at_one_hour_of_s3_lists_and_reads_the_same_whatever_is_kept(tmp_path, days):
    with moto_server() as (_, address):
        endpoint, bucket = f"http://{address}", f"b-{uuid4().hex}"
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
        few = counts(CountedS3(f"s3://{bucket}/few", endpoint), tmp_path / "a", 1)
        many = counts(CountedS3(f"s3://{bucket}/many", endpoint), tmp_path / "b", days)
    expired = [found.pop("expire") for found in (few, many)]
    assert max(expired) <= (9 * 1000, 0), "a page of each prefix, at most"
    assert few == many
    assert max(listed for listed, _ in many.values()) <= MOST["listed"], many
    assert few["join"][1] >= 3 + 3, "it does read the hour's objects"
