"""Three hosts, each a process: one killed and started again, the shared store lost and back, rewards anywhere."""

import json
import os
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from croupier.features import clock
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from tests.redis_here import needs_redis
from tests.serving import apps
from tests.serving.embedded.shop import asked
from tests.serving.fleet.fleets import apart, moments, one_host, release_of, until, workspaces

pytestmark = [needs_redis, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[3]
N = 80
LATE = N // 5 - 1  # the decision whose reward is under way when a host dies


class HostProcess:
    """A process that serves a workspace's home; `more`: settings of its environment."""

    def __init__(self, w, **more):
        self.w, self.more, self.process = w, more, None
        self.start()

    def start(self):
        s = self.w.settings
        more = {"STORE": s.store, "REDIS": s.redis.get_secret_value(), "UNIT_KEY": s.unit_key.get_secret_value()}
        more |= {"S3_ENDPOINT": s.s3_endpoint} | self.more
        command = [sys.executable, "-m", "tests.serving.fleet.one_process", str(s.var)]
        environment = os.environ | {f"CROUPIER_{name}": value for name, value in more.items()}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment, cwd=ROOT, **pipes)

    def ready(self):
        assert json.loads(self.process.stdout.readline()) == "ready"
        return self

    def send(self, what, **question):
        self.process.stdin.write(json.dumps([what, question]) + "\n")
        self.process.stdin.flush()

    def ask(self, what, **question):
        self.send(what, **question)
        return json.loads(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.process.stdout.close()


def reward(i, event):
    return {"event_id": event, "kind": "click", "value": float(i % 4 == 0), "reward_id": f"r{i}"}


@pytest.mark.timeout(900)
def test_through_kills_every_decision_and_reward_counts_once_and_the_heads_are_those_of_one_host(tmp_path, redis):
    rng, spaces = random.Random(3), workspaces(tmp_path, redis.url, 3, apps.trained("lin_ts"))
    hosts = [HostProcess(w) for w in spaces]
    answered, fates, alive = {}, [], [host.ready() for host in hosts]
    requests = apps.sample().requests(N, seed=8)
    for i, request in enumerate(requests):
        if i == N // 5:  # a reward is under way as the host dies; whoever sent it sends it again, elsewhere
            late = reward(LATE, requests[LATE].event_id)
            hosts[1].send("reward", **late)
            hosts[1].kill()
            alive.remove(hosts[1])
            fates.append(alive[0].ask("reward", **late))
        if i == N * 2 // 5:
            hosts[1].start()
            alive.append(hosts[1].ready())
        if i == N // 2:
            redis.stop()
        if i == N * 3 // 4:
            redis.start()
        first, second = rng.choice(alive), rng.choice(alive)
        event, arm, propensity = first.ask("select", **asked(request))
        answered[event] = (arm, propensity)
        if i == LATE:
            continue
        if i % 10 == 8:  # asked again, perhaps of another host: shown is what came first, and it is never rewarded
            assert second.ask("select", **asked(request))[0] == event
            continue
        fates.append(second.ask("reward", **reward(i, event)))
        if i % 3 == 0:
            fates.append(rng.choice(alive).ask("reward", **reward(i, event)))
    assert {"accepted", "elsewhere", "duplicate"} == set(fates)

    release = release_of(spaces[0])
    expected = one_host(tmp_path, spaces, release)
    rewarded = [event for i, event in enumerate(answered) if i % 10 != 8]
    assert expected.state.step - expected.base.step == len(rewarded)
    until(lambda: all(apart(moments(w, release), expected.state.moments) < 1e-9 for w in spaces))
    for host in hosts:
        host.end()
    for i, w in enumerate(spaces):
        spool = w.spool()
        ship(spool, spaces[0].store, host=f"host-{i}")
        spool.close()
    now = clock.now()
    span = {"start": now - timedelta(hours=2), "end": now + timedelta(hours=1)}
    account = join_interval(spaces[0].store, spaces[0].spec.reward, now=now + timedelta(hours=3), **span).to_dict()
    joined = {row["event_id"]: row for row in read_interactions(spaces[0].store, **span).to_dicts()}
    assert account["interactions"] == len(joined) == N
    assert {event: (row["arm"], row["propensity"]) for event, row in joined.items()} == answered
    assert {event for event, row in joined.items() if row["reward_count"] == 1} == set(rewarded)
    assert sum(row["reward_count"] for row in joined.values()) == len(rewarded)
