"""A million arms in one process: recall@100 of the index against every product, the time of a whole decision (search, random
part, LinTS's pmf over the shortlist, floor, draw) against a scan of all arms in the same run, memory, and new arms."""

import time
from typing import Any

import numpy as np

from croupier.features.batch import Batch, Catalogue
from croupier.models.bayesian.linear import LinTS
from croupier.models.exploration import with_floor
from croupier.models.retrieval.arm_index import ArmIndex, arrays_of
from croupier.models.retrieval.shortlist import shortlist
from croupier.serving.decide import draws
from tests.models.retrieval.learnt import learnt

ARMS, D, QUERIES, TOP, RANDOM, SHOWN = 1_000_000, 32, 200, 100, 10, 100
MOST_MS, LEAST_RECALL = 10.0, 0.95


def vectors(n: int, rng: np.random.Generator) -> Any:
    """(n, D) around 200 centres, of differing length: what embeddings of a catalogue are like, and hard for an index."""
    centres = np.random.default_rng(99).normal(size=(200, D)).astype(np.float32)
    found = centres[rng.integers(0, 200, n)] + 0.8 * rng.standard_normal((n, D), dtype=np.float32)
    return found * rng.lognormal(0, 0.2, (n, 1)).astype(np.float32)


def rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    arms, queries = vectors(ARMS, rng), vectors(QUERIES, rng)
    began, before = time.process_time(), resident()
    arrays = arrays_of(arms)
    index = ArmIndex.of_arrays(arrays)
    built, memory = time.process_time() - began, resident() - before
    catalogue = Catalogue(ids=tuple(map(str, range(ARMS))), features=arms, digest="")
    policy, times, found = learnt(LinTS(), D), np.empty((2, QUERIES)), np.empty(QUERIES)
    for i, query in enumerate(queries):
        times[0, i], rows_found = decided(index, catalogue, policy, query, f"e{i}")
        began = time.thread_time()
        products = arms @ query
        every = np.argpartition(-products, TOP)[:TOP]
        times[1, i] = time.thread_time() - began
        found[i] = len({*every.tolist()} & {*rows_found[:TOP].tolist()}) / TOP
    began = time.process_time()
    grown = index.with_added(vectors(10_000, rng))
    added = time.process_time() - began
    said = (
        f"{ARMS:,} arms of {D} numbers; built in {built:.1f} s of CPU, {memory:,.0f} MB; 10,000 more in {added:.2f} s"
    )
    assert len(grown) == ARMS + 10_000
    ms = np.quantile(times, 0.99, axis=1) * 1000
    return [
        row("recall@100 against every product", said, float(found.mean()), 1.0, "share"),
        row("a decision, p99, against a scan of all arms", said, float(ms[0]), float(ms[1]), "ms CPU"),
    ]


def decided(index: ArmIndex, catalogue: Catalogue, policy: LinTS, query: Any, event: str) -> tuple[float, Any]:
    """CPU seconds of one decision, and its rows."""
    began = time.thread_time()
    listed = shortlist(index.search(query[None], TOP)[0], len(index), RANDOM, salt="s", event_id=event).rows
    arm, mask = listed[None], np.ones((1, len(listed)), dtype=bool)
    pair = np.zeros((1, len(listed), 0), np.float32)
    batch = Batch(context=query[None], arm=arm, mask=mask, pair=pair, catalogue=catalogue)
    pmf = with_floor(policy.pmf(batch), mask, 0.02)
    draws.draw(pmf.tolist(), "s", [event])
    return time.thread_time() - began, listed


def row(name: str, workload: str, ours: float, other: float, unit: str) -> dict[str, Any]:
    met = ours >= LEAST_RECALL if unit == "share" else ours <= MOST_MS
    ratio, target = ours / other, f"≥ {LEAST_RECALL}" if unit == "share" else f"≤ {MOST_MS}"
    return {"name": name, "workload": workload, "ours": ours, "other": other, "unit": unit, "ratio": ratio,
            "ratio_min": ratio, "ratio_max": ratio, "rounds": QUERIES, "target": target, "met": met}  # fmt: skip


def resident() -> float:
    """MB of this process in memory now."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 - no path of the project's
        return int(file.read().split()[1]) * 4096 / 1e6
