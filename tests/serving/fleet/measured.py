"""How long a reward at another host takes to reach the head of a third, and what a passed-on reward costs a host.

python -m tests.serving.fleet.measured       three selectors in this process, Debian's redis-server
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from croupier.features.log import passed_on
from croupier.features.log.spool import Spool
from croupier.features.schema import Reward
from croupier.features.spec import RewardSpec
from croupier.serving.contract.rewards import RawReward
from croupier.serving.embedded.host import Host
from croupier.serving.fleet.reward_post import RewardPost
from croupier.serving.fleet.shared_store import SharedStore
from tests.redis_here import RedisHere
from tests.serving import apps
from tests.serving.fleet.fleets import until, workspaces

ROUNDS, PASSED = 25, 5000


def rows() -> list[dict[str, Any]]:
    redis = RedisHere()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return [delay(Path(folder), redis.url), cost(Path(folder), redis.url)]
    finally:
        redis.stop()


def delay(folder: Path, url: str) -> dict[str, Any]:
    """Seconds from the answer `elsewhere` at B to the first decision of C that has the reward which A learnt."""
    a, b, c = hosts = [Host(w, every=0.5) for w in workspaces(folder, url, 3, apps.trained("lin_ts"))]
    took, rng = [], np.random.default_rng(1)
    for request in apps.sample().requests(ROUNDS, seed=1):
        time.sleep(float(rng.uniform(0, 1.0)))  # at any point of the turns
        (answer,) = a.selector.select([request])
        c.selector.heads.policy("champion")
        before = c.selector.heads.shared("champion")
        (outcome,) = b.rewards.take([RawReward(answer.event_id.encode(), b"click", 1.0)])
        assert outcome.status == "elsewhere"
        began = time.monotonic()
        until(
            lambda before=before: c.selector.heads.policy("champion") and c.selector.heads.shared("champion") != before
        )
        took.append(time.monotonic() - began)
    for host in hosts:
        host.close()
    p50, p90 = np.quantile(took, [0.5, 0.9])
    return {"what": "reward at B to the head of C, s", "p50": p50, "p90": p90, "most": max(took)}


def cost(folder: Path, url: str) -> dict[str, Any]:
    """CPU µs of one process: to pass a reward on, and to look at one that is nobody's here."""
    spool, store = Spool(folder / "log.db", durability="NORMAL"), SharedStore(url, "cost")
    post = RewardPost(store, spool, RewardSpec(), learn=lambda: None, counted=lambda _way, _n: None)
    post.look()
    at = time.time_ns() // 1000
    spool.append_rewards([Reward(event_id=f"e{i}", at=at, kind="click", value=1.0) for i in range(PASSED)])
    times = [time.process_time()]
    while post._pass_on():
        pass
    times.append(time.process_time())
    while post._take_in():
        pass
    times.append(time.process_time())
    assert not passed_on.rows(spool, 0, 2**60)
    spool.close()
    store.close()
    passing, looking = np.diff(times) * 1e6 / PASSED
    return {"what": "CPU µs a reward", "passed on": passing, "looked at": looking}


if __name__ == "__main__":
    for row in rows():
        print(
            "  ".join(f"{name} {value:.3g}" if isinstance(value, float) else str(value) for name, value in row.items())
        )
