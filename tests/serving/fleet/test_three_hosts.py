"""Three hosts that share one S3, one Redis and one controller, each with a network of its own that is cut, a host that is
killed, one that is renamed and moved, a rollout up, and an abort: nothing is lost, nothing is counted twice.

Each host is a process with the embedded selector; a cut network is a proxy that resets every connection.
"""

import random
import shutil
import time
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import boto3
import pytest

from croupier.features import clock
from croupier.features.ids import hash_unit
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.models.baselines import Uniform
from croupier.serving.release import rollout_state, rollout_store
from croupier.serving.release.rollout_mirror import RolloutReader
from croupier.serving.release.rollout_state import in_candidate
from tests.faults.proxy import Proxy
from tests.moto_server import moto_server
from tests.redis_here import needs_redis
from tests.serving import apps
from tests.serving.embedded import shop
from tests.serving.fleet.fleets import apart, moments, one_host, release_of, until
from tests.serving.fleet.test_kills import HostProcess, reward

pytestmark = [needs_redis, pytest.mark.slow]
KEY = "k" * 32


class Fleet:
    """The hosts, what they answered, and what was sent to them."""

    def __init__(self, folder, redis, url, seed):
        self.rng, self.folder, self.redis, self.cut = random.Random(seed), folder, redis, set()
        self.s3 = [Proxy(url) for _ in range(3)]
        self.shared = [Proxy(f"127.0.0.1:{redis.port}") for _ in range(3)]
        self.where = f"s3://{self._bucket(url)}/shop"
        self.direct = Workspace(
            Settings(app="shop", var=folder / "host-0", store=self.where, s3_endpoint=f"http://{url}", unit_key=KEY)
        )
        for i in range(3):
            shop.opened(folder / f"host-{i}", fast_loop=True, store=self.where)
        shop.publish(self.direct, apps.trained("lin_ts"), Uniform())
        self.spaces = [self._workspace(i, folder / f"host-{i}") for i in range(3)]
        self.hosts = [HostProcess(w, HOST=f"host-{i}") for i, w in enumerate(self.spaces)]
        self.answered, self.rewarded, self.shares = {}, set(), []
        for host in self.hosts:
            host.ready()

    def _bucket(self, url):
        bucket = f"b-{uuid4().hex}"
        boto3.client("s3", endpoint_url=f"http://{url}").create_bucket(Bucket=bucket)
        return bucket

    def _workspace(self, i, var):
        redis = f"redis://{self.shared[i].url}/0"
        return Workspace(
            Settings(
                app="shop", var=var, store=self.where, s3_endpoint=f"http://{self.s3[i].url}", redis=redis, unit_key=KEY
            )
        )

    def share(self, i):
        """What host i serves, by its own mirror."""
        return RolloutReader(self.spaces[i].home / layout.ROLLOUT_MIRROR, every=0.0).view(1).share

    def alive(self):
        return [i for i in range(3) if self.hosts[i].process.poll() is None]

    def traffic(self, n):
        """Decisions at random hosts, some asked again at another, rewards at random hosts, some of them again."""
        requests = apps.sample().requests(n, seed=len(self.answered) + 17)
        salt = rollout_store.read_state(self.direct.store).salt
        for k, request in enumerate(requests):
            i = self.rng.choice(self.alive())
            share = self.share(i)
            event, arm, propensity, role = self.hosts[i].ask("decide", **shop.asked(request))
            self.answered[event] = (arm, propensity)
            expected = "candidate" if in_candidate(salt, hash_unit(KEY, request.unit_id), share) else "champion"
            assert role == expected, (i, share, "a unit belongs to one role, whichever host is asked")
            self.shares.append((role, share))
            if k % 10 == 8:  # asked again, and never rewarded: shown is what came first
                again = self.hosts[self.rng.choice(self.alive())]
                assert again.ask("select", **shop.asked(request))[0] == event
                continue
            self.rewarded.add(event)
            number = len(self.rewarded)
            for _ in range(1 + (k % 3 == 0)):
                fate = self.hosts[self.rng.choice(self.alive())].ask("reward", **reward(number, event))
                assert fate in ("accepted", "elsewhere", "duplicate")

    @contextmanager
    def away(self, i):
        """Host i reaches neither the store nor Redis."""
        for proxy in (self.s3[i], self.shared[i]):
            proxy.set("reset")
        yield
        for proxy in (self.s3[i], self.shared[i]):
            proxy.set("pass")

    def kill(self, i):
        self.hosts[i].kill()

    def restart(self, i):
        self.hosts[i].start()
        self.hosts[i].ready()

    def rename(self, i, name):
        """The volume of host i goes on in another place, under another name."""
        self.hosts[i].end()
        shutil.move(self.spaces[i].settings.var, self.folder / name)
        self.spaces[i] = self._workspace(i, self.folder / name)
        self.hosts[i] = HostProcess(self.spaces[i], HOST=name).ready()

    def control(self, step, reason):
        """The controller, which is none of the hosts."""
        return rollout_store.change(self.direct.store, lambda s: step(s, reason, now=s.since + 1, by="controller"))

    def close(self):
        for host in self.hosts:
            if host.process.poll() is None:
                host.process.kill()
                host.process.wait()
            host.process.stdin.close()
            host.process.stdout.close()
        for proxy in (*self.s3, *self.shared):
            proxy.close()


@pytest.fixture
def fleet(tmp_path, redis):
    with moto_server() as (_, url):
        made = Fleet(tmp_path, redis, url, seed=5)
        yield made
        made.close()


def faults(fleet, n, name):
    """A host is killed, one is cut off, one is renamed, with traffic in between."""
    fleet.traffic(n)
    fleet.kill(1)
    fleet.traffic(n)
    fleet.restart(1)
    with fleet.away(2):
        fleet.traffic(n)
    fleet.traffic(n)
    fleet.rename(0, name)
    fleet.traffic(n)


def lived(fleet, n, seconds):
    """Faults again and again, for so many seconds; then a rollout up while a host is cut off, and an abort."""
    end, rounds = time.monotonic() + seconds, 0
    while not rounds or time.monotonic() < end:
        rounds += 1
        faults(fleet, n, f"moved-{rounds}")
    with fleet.away(2):
        fleet.control(rollout_state.advance, "up")
        until(lambda: fleet.share(0) == fleet.share(1) == 0.2)
        assert fleet.share(2) == 0.05, "who cannot reach the store serves as before"
        fleet.traffic(n)
    until(lambda: fleet.share(2) == 0.2)
    fleet.control(rollout_state.advance, "up")
    until(lambda: {fleet.share(i) for i in range(3)} == {0.5})
    fleet.traffic(2 * n)
    fleet.control(rollout_state.abort, "harm")


def judged(fleet, tmp_path):
    """Every answered decision once, with its propensity; every reward once; every head that of one host."""
    release = release_of(fleet.spaces[0])
    expected = one_host(tmp_path, fleet.spaces, release)
    assert expected.state.step - expected.base.step == len(fleet.rewarded)
    until(lambda: all(apart(moments(w, release), expected.state.moments) < 1e-9 for w in fleet.spaces))
    for host in fleet.hosts:
        host.end()
    for w in fleet.spaces:
        spool = w.spool()
        ship(spool, fleet.direct.store, host=w.settings.host)
        spool.close()
    now = clock.now()
    span = {"start": now - timedelta(hours=2), "end": now + timedelta(hours=1)}
    account = join_interval(
        fleet.direct.store, fleet.direct.spec.reward, now=now + timedelta(hours=3), **span
    ).to_dict()
    joined = {row["event_id"]: row for row in read_interactions(fleet.direct.store, **span).to_dicts()}
    assert account["interactions"] == len(joined) == len(fleet.answered)
    assert {event: (row["arm"], row["propensity"]) for event, row in joined.items()} == fleet.answered
    assert {event for event, row in joined.items() if row["reward_count"]} == fleet.rewarded
    assert sum(row["reward_count"] for row in joined.values()) == len(fleet.rewarded)


def whole(fleet, tmp_path, n, seconds):
    lived(fleet, n, seconds)
    time.sleep(2.0)
    before = len(fleet.shares)
    for i in range(3):
        assert fleet.share(i) == 0.0, "two seconds after the abort"
    fleet.traffic(2 * n)
    assert {role for role, _ in fleet.shares[before:]} == {"champion"}
    assert {role for role, share in fleet.shares if share == 0.5} == {"champion", "candidate"}
    judged(fleet, tmp_path)


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_once(fleet, tmp_path):
    whole(fleet, tmp_path, 12, 0.0)


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(3000)
def test_for_ten_minutes(fleet, tmp_path):
    whole(fleet, tmp_path, 40, 600.0)
