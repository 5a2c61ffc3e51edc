"""Random requests to allocate, through the embedded selector, its log included: none ever costs more than its total.

python -m tests.serving.allocation.test_many_requests 100000        # the count of models/allocation/README.md
"""

import json
import os
import random
import sys
import tempfile
import time
from collections import Counter

import numpy as np
import pytest

from croupier.features.budgets.allocated_item import item_of
from croupier.serving.client.errors import Refused
from tests.models.allocation.random_requests import request, within
from tests.serving.allocation import pages

OPTIONS = [*pages.OPTIONS]


def asked(rng, words):
    """A request with costs of each item and a total of its own, which at times no allocation keeps; with what it says
    in numbers: costs (n, m) and total."""
    cost, total, _, _ = request(rng, draws=1)
    few = min(cost.shape[1], len(OPTIONS))
    cost, unmet = cost[:, :few], rng.random() < 0.02
    total = float(cost.min(axis=1).sum()) * 0.5 if unmet else max(total, float(cost.min(axis=1).sum()))
    items = [{"features": {"shows": words.choice(["colour", "text"])}, "costs": row.tolist()} for row in cost]
    options = [{"id": name} for name in OPTIONS[:few]]
    context = {"question": words.choice(["colour", "text"])}
    return (
        {
            "unit_id": f"u{words.randrange(1000)}",
            "context": context,
            "items": items,
            "options": options,
            "total": total,
        },
        cost,
        total,
    )


def count(requests, seed, *, claimed=None, told=lambda found: None):
    """What became of so many requests: `over` their total by the answer, or by the log; `refused` by name; `tight`:
    with a total that leaves one allocation; at most by what share of it they cost. `claimed`: what costs are said to be
    in the place of those that are sent."""
    rng, words, found = np.random.default_rng([seed, 19]), random.Random(seed), Counter()
    cpu = time.process_time()
    with tempfile.TemporaryDirectory() as var, pages.opened(var) as app:
        policy, encoder = pages.learnt(app)
        pages.published(app, policy, encoder)
        for n in range(requests):
            if n and n % 5000 == 0:
                told(dict(found) | {"cpu_seconds": round(time.process_time() - cpu, 1)})
            sent, cost, total = asked(rng, words)
            if claimed is not None:
                sent["items"] = [
                    item | {"costs": claimed(row).tolist()} for item, row in zip(sent["items"], cost, strict=True)
                ]
            try:
                answer = app.allocate(**sent)
            except Refused as error:
                found["refused"] += 1
                found["refused otherwise"] += "the sum of each item's cheapest option" not in str(error)
                continue
            chosen = [OPTIONS.index(option) for option in answer.options]
            logged = app.host.spool.find(answer.events)
            rows = [logged[event] for event in answer.events]
            of_log = [
                item.costs[d.arms.index(d.arm)]
                for d, item in zip(rows, (item_of(d.allocation) for d in rows), strict=True)
            ]
            found["answered"] += 1
            found["over"] += not within(cost, total, chosen)
            found["the log says otherwise"] += tuple(of_log) != tuple(cost[range(len(chosen)), chosen].tolist())
            found["tight"] += total <= float(cost.min(axis=1).sum()) * (1 + 1e-12)
            found["roles " + answer.role] += 1
    return dict(found) | {"cpu_seconds": round(time.process_time() - cpu, 1)}


def seen(found):
    """(over, refused otherwise, other in the log)."""
    return [found.get(name, 0) for name in ("over", "refused otherwise", "the log says otherwise")]


@pytest.mark.medium
def test_the_count_sees_what_costs_more(monkeypatch):
    monkeypatch.setenv("CROUPIER_DURABILITY", "NORMAL")
    found = count(60, 1, claimed=lambda row: row * 0.3)
    assert found["over"] > 5
    assert found["the log says otherwise"] > 5


@pytest.mark.medium
def test_nothing_costs_more_than_its_total_on_the_served_path(monkeypatch):
    monkeypatch.setenv("CROUPIER_DURABILITY", "NORMAL")
    found = count(400, 2)
    assert seen(found) == [0, 0, 0]
    assert found["answered"] > 350
    assert found["refused"] > 2
    assert found["tight"] > 20
    assert found["roles champion"] == found["answered"]


if __name__ == "__main__":
    os.environ.setdefault("CROUPIER_DURABILITY", "NORMAL")
    line = [*map(int, sys.argv[1:]), 0]
    print(json.dumps(count(line[0], line[1], told=lambda found: print(json.dumps(found), flush=True))))
