"""Many calls, of every kind: no failure of the gateway's own, each decision on record, and memory that stays as it is."""

import random

import psutil
import pytest

from tests.serving.gateway import load
from tests.serving.gateway.door import ARMS, Gateway, actions, decisions, declared

RANK, SELECT, REWARDS = "/personalizer/v1.0/rank", "/v1/apps/shop/select", "/v1/apps/shop/rewards"
GROWTH = 24 << 20  # bytes, from when a tenth was asked


def calls(first, n, rng, shown):
    """Ranks, whose events are added to `shown`, some deferred, rewards, selects, refusals, names that nobody declared."""
    for i in range(first, first + n):
        body = {"actions": actions(*ARMS), "contextFeatures": [{"hour": i % 24}], "eventId": f"e{i}"}
        kind = rng.randrange(10)
        if kind < 5:
            shown.append(f"e{i}")
            yield load.posted(RANK, body)
        elif kind == 5:
            yield load.posted(RANK, body | {"deferActivation": True})
        elif kind == 6:
            yield load.posted(f"/personalizer/v1.0/events/e{rng.randrange(i + 1)}/reward", {"value": rng.random()})
        elif kind == 7:
            yield load.posted(SELECT, {"requests": [{"unit_id": f"u{i}", "context": {"hour": 3}}, {"unit_id": i}]})
        elif kind == 8:
            yield load.posted(RANK, body | {"contextFeatures": [{f"name{i}": {"of": "x" * 100}}]})
        else:
            yield load.posted(REWARDS, {"rewards": [{"event_id": f"e{i}", "kind": "click", "value": 7}]})


def resident(gateway):
    root = psutil.Process(gateway.process.pid)
    return sum(each.memory_info().rss for each in (root, *root.children(recursive=True)))


@pytest.mark.medium
@pytest.mark.parametrize("n", [2000, pytest.param(100_000, marks=pytest.mark.full)])
def test_no_failure_and_no_leak(tmp_path, n):
    rng, shown = random.Random(3), []
    with Gateway(declared(tmp_path)) as gateway:
        warm = load.run(gateway.port, calls(0, n // 10, rng, shown))
        before = resident(gateway)
        rest = load.run(gateway.port, calls(n // 10, n - n // 10, rng, shown))
        grown = resident(gateway) - before
        health = gateway.call("GET", "/v1/apps/shop/health")[1]
    statuses = warm.statuses + rest.statuses
    assert statuses.total() == n
    assert statuses.keys() == {200, 201, 204, 400}, statuses
    assert statuses[201] == pytest.approx(0.6 * n, rel=0.1)
    assert grown < GROWTH, f"{grown >> 20} MiB more"
    assert health["well"]
    assert health["deferred"]["waiting"] == pytest.approx(0.1 * n, rel=0.4)
    assert decisions(tmp_path, shown).keys() == set(shown)
