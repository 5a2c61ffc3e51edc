"""Decisions among very many arms as they are served, each alone, on record before it is answered:

    python -m tests.benchmarks.retrieval.served 10000 100000 1000000 [--decisions 3000] [--json OUT]

An app of the least that [retrieval] needs, `uniform` over lists of 100 (what LinTS adds is in bench_models_retrieval), in this
process (`Embedded`). Prints how long the first release took, what the process holds, and a decision's p50, p99 and p99.9 on
the clock and of CPU, beside the clock's own delay: how long a thread that does nothing but compute the same is kept waiting."""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from croupier import Embedded
from tests.benchmarks.retrieval.bench_models_retrieval import D, vectors

TOML = f"""
[context.taste]
type = "embedding"
length = {D}
[arm.taste]
type = "embedding"
length = {D}
[retrieval]
context = "taste"
arm = "taste"
top = 90
random = 10
"""
QUANTILES = (50, 99, 99.9)


def measure(arms: int, decisions: int) -> dict[str, Any]:
    """One app of so many arms, and its decisions after a hundred others."""
    rng = np.random.default_rng(0)
    catalogue = {f"sofa {i}": {"taste": row} for i, row in enumerate(vectors(arms, rng).round(4).tolist())}
    queries = vectors(decisions + 100, rng).round(4).tolist()
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        with Embedded.declared("shop", toml=TOML, arms=catalogue, var=Path(folder)) as shop:
            ready = time.process_time() - began
            catalogue.clear()
            wall, cpu = asked(shop, queries)
    return {
        "arms": arms,
        "first release, CPU s": round(ready, 1),
        "most memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "wall ms": quantiles(wall[100:]),
        "CPU ms": quantiles(cpu[100:]),
        "machine ms": quantiles(np.array([computed() for _ in range(1000)])),
    }


def asked(shop: Embedded, queries: list[list[float]]) -> tuple[Any, Any]:
    """Seconds of each decision, on the clock and of this process's CPU."""
    times = np.empty((2, len(queries)))
    for i, query in enumerate(queries):
        began = time.perf_counter(), time.process_time()
        found = shop.select(unit_id=f"u{i}", context={"taste": query}, arms=())
        times[:, i] = time.perf_counter() - began[0], time.process_time() - began[1]
        assert len(found.pmf) == 100, found
    return times[0], times[1]


def computed() -> float:
    """Seconds on the clock of some 4 ms of computing: what is more than that others had."""
    began = time.perf_counter()
    sum(range(200_000))
    return time.perf_counter() - began


def quantiles(times: Any) -> dict[str, float]:
    """In milliseconds."""
    return {f"p{q}": round(float(np.percentile(times, q)) * 1e3, 2) for q in QUANTILES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="+", type=int)
    parser.add_argument("--decisions", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = []
    for arms in given.arms:
        found.append(measure(arms, given.decisions))
        print(json.dumps(found[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
