"""What happens to three hosts while the crowd comes, and the account of it.

python -m tests.serving.fleet.tritons.story FOLDER faults SECONDS PARTITION     in namespaces of its own (tests/namespaces.py);
python -m tests.serving.fleet.tritons.story FOLDER breaker 0 0                   what was seen stands in FOLDER/told.json
"""

import json
import logging
import os
import re
import sys
import time
from pathlib import Path

import boto3

from croupier.features.store import layout
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from tests.moto_server import moto_server
from tests.redis_here import RedisHere
from tests.serving.fleet.fleets import until
from tests.serving.fleet.tritons import account
from tests.serving.fleet.tritons.fleet import BUCKET, Fleet
from tests.serving.fleet.tritons.network import BACK, FRONT, Network, ip

ABORT_SECONDS, FOLLOW_SECONDS = 2.0, 300.0


class Story:
    """`partition`: for how long a host is out of everybody's reach, in seconds."""

    def __init__(self, fleet, partition):
        self.fleet, self.crowd, self.hosts = fleet, fleet.crowd, fleet.machines
        self.partition, self.rounds, self.told = partition, 0, {"seconds": {}}

    def faults(self):
        """The whole of a host dies, the server of another, a third is cut off; then one is renamed, and moves."""
        self.rounds += 1
        self.hosts[1].kill()
        self.crowd.until_served(0, 2)
        self.hosts[1].start()
        self.hosts[0].kill_triton()
        self._took("a host was killed", self.crowd.until_served(0, 1))
        with self.hosts[2].cut(self.hosts[2].front, self.hosts[2].back):
            time.sleep(self.partition)
            self.crowd.until_served(0, 1)
        self._took("a partition was over", self.crowd.until_served(2))
        self.hosts[0].terminate()
        assert self.hosts[0].ended() == 0, "the shipper's last turn"
        self.hosts[0].move(f"moved-{self.rounds}", self.fleet.folder / f"moved-{self.rounds}")
        self.hosts[0].start()
        self._took("a volume had moved", self.crowd.until_served(0))

    def rollout(self):
        """Up while a host does not reach the store, up again, and aborted while it does not reach it."""
        self._follow(0.05, 0, 1, 2)
        with self.hosts[2].cut(self.hosts[2].back):
            self.fleet.moved("advance", "--reason", "up")
            self._follow(0.2, 0, 1)
            self.crowd.until_served(0, 1, 2)
            self.told["share of who does not reach the store"] = self.hosts[2].share()
        self._took("the store was back", self._follow(0.2, 2))
        self.fleet.moved("advance", "--reason", "up")
        self._follow(0.5, 0, 1, 2)
        self.crowd.until_served(0, 1, 2, n=30)
        with self.hosts[2].cut(self.hosts[2].back):
            since = self._aborted()
            self.told["candidate after the abort"] = account.late(self.fleet, {0, 1}, since)
            self.told["candidate where the store was not reached"] = len(account.late(self.fleet, {2}, since))
        healed = time.time()
        self._took("the abort's store was back", self._follow(0.0, 2))
        self.crowd.until_served(0, 1, 2, n=30)
        self.told["candidate after the store was back"] = account.late(self.fleet, {2}, healed)

    def account(self):
        """The crowd leaves, heads agree, hosts end, and the store has everything."""
        self.told |= {"rounds": self.rounds, "crowd": self.crowd.leave(), "served": dict(self.crowd.served)}
        self.told["megabytes"] = [host.megabytes() for host in self.hosts]
        self.told["strays"] = account.strays(self.fleet)
        self.told["roles"] = sorted({seen.role for seen in self.crowd.seen})
        self.told["by clients"] = {
            "decided": len(self.crowd.own),
            "rewarded": len(self.crowd.own & self.crowd.rewarded),
        }
        self.told["heads"] = account.heads(self.fleet, self.fleet.folder)
        for host in self.hosts:
            host.terminate()
        self.told["ended"] = [host.ended() for host in self.hosts]
        self.told["shippers said"] = [host.said("shipper") for host in self.hosts]
        self.told["log"] = account.log(self.fleet)

    def breaker(self):
        """The breaker of one host opens; whoever watches is another, and ends the rollout for all."""
        self._follow(0.05, 0, 1, 2)
        home = self.fleet.app(self.hosts[1].var).home
        CandidateBreaker(home / layout.BREAKER, failures=1).failed(1, "5%", "RuntimeError: out of memory")
        self._took("a breaker had opened", self._follow(0.0, 0, 1, 2))
        last = self.fleet.state().history[-1]
        self.told["ended by"] = {name: last[name] for name in ("stage", "reason", "by")}

    def _aborted(self):
        """When the rollout was aborted, in seconds of this machine's clock; decisions were made for a while since."""
        waited = stalled()
        self.fleet.moved("abort", "--yes")
        since = self.fleet.state().since / 1e6
        self._follow(0.0, 0, 1)
        time.sleep(max(0.0, since + ABORT_SECONDS - time.time()))
        self.crowd.until_served(0, 1, 2, n=30)
        self.told["stalled"] = stalled() - waited
        return since

    def _follow(self, share, *hosts):
        began = time.monotonic()
        until(lambda: {self.hosts[i].share() for i in hosts} == {share}, FOLLOW_SECONDS)
        return time.monotonic() - began

    def _took(self, after, seconds):
        self.told["seconds"].setdefault(after, []).append(round(seconds, 1))


def stalled():
    """Seconds, since the machine was started, in which some process waited for a processor; 0 where the kernel does not say."""
    file = Path("/proc/pressure/cpu")
    return int(re.search(r"some .* total=(\d+)", file.read_text())[1]) / 1e6 if file.exists() else 0.0


def faults(story, seconds):
    """Faults, once or for so many seconds, then the rollout, and the account of it all."""
    end = time.monotonic() + seconds
    while not story.rounds or time.monotonic() < end:
        story.faults()
    story.rollout()
    story.account()


def main(folder, what, seconds, partition):
    began = time.monotonic()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else moto tells each request
    ip("link", "set", "lo", "up")
    networks = Network("front", FRONT), Network("back", BACK)
    redis = RedisHere(networks[1].hub)
    with moto_server(networks[1].hub) as (_, url):
        boto3.client("s3", endpoint_url=f"http://{url}").create_bucket(Bucket=BUCKET)
        fleet = Fleet(folder, networks, s3=f"http://{url}", redis=redis.url)
        try:
            story = Story(fleet, partition)
            story.told["seconds"]["began"] = [round(fleet.ready(), 1)]
            fleet.crowd.come().until_served(0, 1, 2)
            faults(story, seconds) if what == "faults" else story.breaker()
        finally:
            fleet.close()
            redis.stop()
    cpu = sum(os.times()[:4])
    story.told |= {"wall": round(time.monotonic() - began, 1), "cpu": round(cpu, 1)}
    (folder / "told.json").write_text(json.dumps(story.told, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
