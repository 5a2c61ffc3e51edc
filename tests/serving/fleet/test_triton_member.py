"""A real Triton and an embedded selector, two hosts of one app: rewards go to the wrong one, and both learn them all."""

import re
import shutil
import urllib.request

import pytest

from croupier.features.log.spool import Spool
from croupier.features.store import layout
from croupier.serving.client.client import Client
from croupier.serving.contract.rewards import RawReward
from croupier.serving.embedded.host import Host
from croupier.serving.triton.server import Ports
from tests.redis_here import needs_redis
from tests.serving import apps
from tests.serving.embedded.shop import asked
from tests.serving.ended_at_once import EndedAtOnce
from tests.serving.fleet.fleets import apart, moments, one_host, release_of, until, workspaces

EACH = 10


@needs_redis
@pytest.mark.slow
def test_rewards_at_the_wrong_one_of_triton_and_embedded_reach_the_heads_of_both(tmp_path, redis):
    spaces = embedded, served = workspaces(tmp_path, redis.url, 2, apps.trained("lin_ts"))
    host, requests = Host(embedded, every=0.5), apps.sample().requests(2 * EACH + 1, seed=12)
    shutil.copytree(layout.embedded(embedded.home, 1), layout.served(served.home, 1))
    environment = {"CROUPIER_REDIS": redis.url, "CROUPIER_UNIT_KEY": served.settings.unit_key.get_secret_value()}
    triton = EndedAtOnce(served.home, ports=Ports.free(), environment=environment)
    spool = Spool(served.home / layout.SPOOL_LOG)
    try:
        with triton, Client(triton.grpc, deadline_ms=20_000) as client:
            for request in requests[:EACH]:
                (answer,) = host.selector.select([request])
                assert client.reward(event_id=answer.event_id, kind="click", value=1.0).status == "elsewhere"
            for request in requests[EACH:-1]:
                event = client.select(**asked(request)).event_id
                (outcome,) = host.rewards.take([RawReward(event.encode(), b"click", 0.0)])
                assert (outcome.status, outcome.error) == ("elsewhere", "")
            release = release_of(embedded)
            expected = one_host(tmp_path, spaces, release)
            assert expected.state.step - expected.base.step == 2 * EACH
            until(lambda: all(apart(moments(w, release), expected.state.moments) < 1e-9 for w in spaces))
            last = client.select(**asked(requests[-1])).event_id
            logged = spool.find([last])[last]
            assert (logged.posterior_step - expected.base.step, len(logged.shared_posterior)) == (EACH, 15)
            told = {'rewards_total{way="taken in"}': EACH, 'rewards_total{way="passed on"}': EACH}
            told |= {'other_hosts{role="champion"}': 1}  # a page is a second or two behind what has been learnt
            until(lambda: told.items() <= fleet_metrics(triton).items())
            page = fleet_metrics(triton)
            assert 0 <= page["staleness_seconds"] < 60
            redis.stop()
            until(lambda: fleet_metrics(triton)["staleness_seconds"] > 3)
            assert client.select(**asked(requests[-1]) | {"event_id": "without"}).role == "champion"
            assert spool.find(["without"])["without"].shared_posterior == logged.shared_posterior
    finally:
        spool.close()
        host.close()


def fleet_metrics(triton):
    """The numbers of the fleet at Triton's /metrics, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{triton.ports.metrics}/metrics", timeout=10) as answer:
        found = re.findall(r"^croupier_fleet_(\S+?(?:\{.*?\})?) (\S+)$", answer.read().decode(), re.M)
    return {name: float(value) for name, value in found}
