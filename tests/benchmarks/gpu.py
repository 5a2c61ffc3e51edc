"""`make bench-gpu`: Thompson votes on a GPU, by the very code that serves on a CPU. Needs numpy and torch alone.

    kernels     10,000 contexts × 20 arms, S = 256: device time of all kernels, copies left out     < 1 ms
    in-process  B = 4,096 encoded requests to their pmf on the host, copies included               >= 1,000,000/s

The share of peak is that of this device's own 8,192³ float32 product. `python -m tests.benchmarks.gpu cpu` runs the
same on the CPU, smaller.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from croupier.features.batch import F64, Batch, Catalogue
from croupier.models.bayesian import thompson
from croupier.models.bayesian.arrays import Array, on
from croupier.models.bayesian.networks.layers import Layers

ARMS, FEATURES, HIDDEN, DRAWS = 20, 32, 64, 256


@dataclass(frozen=True)
class Scorer:
    """A one-layer network, its arms' share computed once, and S draws of a head: what `NeuralLinear` serves with."""

    layers: Layers
    catalogue: Catalogue
    share: Array
    weights: Array

    @classmethod
    def make(cls, device: str, *, seed: int = 0) -> "Scorer":
        """The same numbers on every device."""
        rng, sizes = np.random.default_rng(seed), (FEATURES, FEATURES, 0)
        bound = (2 * FEATURES) ** -0.5
        state = {
            "layers.0.weight": rng.uniform(-bound, bound, (HIDDEN, 2 * FEATURES)).astype(np.float32),
            "layers.0.bias": rng.uniform(-bound, bound, HIDDEN).astype(np.float32),
        }
        layers, features = Layers.of(state, sizes, device), rng.normal(size=(ARMS, FEATURES)).astype(np.float32)
        catalogue = Catalogue(ids=tuple(f"arm-{k}" for k in range(ARMS)), features=features, digest="")
        weights = on(rng.normal(size=(HIDDEN + 1, DRAWS)).astype(np.float32), device)
        return cls(layers, catalogue, layers.arm_share(features), weights)

    def requests(self, n: int) -> Batch:
        context = np.random.default_rng(n).normal(size=(n, FEATURES)).astype(np.float32)
        return Batch(
            context=context,
            arm=np.tile(np.arange(ARMS), (n, 1)),
            mask=np.ones((n, ARMS), np.bool_),
            pair=np.zeros((n, ARMS, 0), np.float32),
            catalogue=self.catalogue,
        )

    def phi(self, batch: Batch) -> Array:
        return self.layers.phi(batch, self.share)

    def pmf(self, batch: Batch) -> F64:
        return thompson.pmf(batch, self.phi(batch), self.weights)


def kernel_ms(work: Any, device: str) -> float:
    """Device time of one call without its copies; on a CPU, its wall time."""
    work()
    if device.startswith("cpu"):
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) * 1e3
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    kernels = (e for e in profile.key_averages() if not e.key.startswith(("Memcpy", "Memset")))
    return sum(float(e.self_device_time_total) for e in kernels) / 1e3


def measure(device: str, *, contexts: int = 10_000, batch: int = 4096, size: int = 8192, rounds: int = 7) -> Any:
    """The figures of the table in this file's docstring, medians of so many rounds."""
    scorer = Scorer.make(device)
    many, some = scorer.requests(contexts), scorer.requests(batch)
    square = torch.randn(size, size, device=device)
    peak = 2 * size**3 / min(kernel_ms(lambda: square @ square, device) for _ in range(3)) / 1e9  # TFLOP/s
    ms = float(np.median([kernel_ms(lambda: scorer.pmf(many), device) for _ in range(rounds)]))
    flops = 2 * contexts * (FEATURES * HIDDEN + ARMS * (HIDDEN + 1) * DRAWS)
    rates = []
    for _ in range(rounds):
        scorer.pmf(some)
        began = time.perf_counter()
        for _ in range(5):
            scorer.pmf(some)
        rates.append(5 * batch / (time.perf_counter() - began))
    name = torch.cuda.get_device_name() if device.startswith("cuda") else device
    return {
        "device": name,
        "contexts": contexts,
        "arms": ARMS,
        "draws": DRAWS,
        "kernel_ms": ms,
        "kernel_target_ms": 1.0,
        "batch": batch,
        "decisions_per_second": float(np.median(rates)),
        "decisions_target": 1_000_000,
        "tflops": flops / ms / 1e9,
        "peak_tflops": peak,
        "share_of_peak": flops / ms / 1e9 / peak,
    }


def main(wanted: str) -> int:
    if wanted == "cuda" and not torch.cuda.is_available():
        print("bench-gpu: this machine has no CUDA device that torch can use, so nothing was measured")
        return 0
    small = {"contexts": 500, "batch": 256, "size": 512} if wanted == "cpu" else {}
    found = measure(wanted, **small)
    out = Path(__file__).resolve().parents[2] / "var" / "bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"gpu-{wanted}.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "cuda"))
