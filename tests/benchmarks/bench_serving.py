"""The served path against a no-op Triton python model with the same inputs, in the same run: what exact propensities,
validation and a durable log cost on top of the transport."""

import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from croupier.serving.client.client import Client
from croupier.serving.contract.requests import Raw
from croupier.serving.triton.repository import SELECT_ARM
from croupier.serving.triton.server import Ports, TritonServer
from tests.serving import apps

ROUNDS = 5
NOOP = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        out = []
        for request in requests:
            n = len(pb_utils.get_input_tensor_by_name(request, "unit_id").as_numpy())
            text, number = np.full((n, 1), b"reel-01", dtype=object), np.ones((n, 1))
            out.append(pb_utils.InferenceResponse([
                pb_utils.Tensor("arm", text), pb_utils.Tensor("propensity", number), pb_utils.Tensor("pmf", number),
                pb_utils.Tensor("event_id", text), pb_utils.Tensor("release", number.astype(np.int64)),
                pb_utils.Tensor("role", text), pb_utils.Tensor("error", text)]))
        return out
"""


def columns(raws: list[Raw]) -> dict[str, Any]:
    names = ("unit_id", "context", "arms", "arm_context", "event_id")
    return {name: ("BYTES", [getattr(raw, name) for raw in raws]) for name in names}


def single_ms(client: Client, model: str, calls: list[dict[str, Any]]) -> float:
    """p50 of one request at a time, in milliseconds."""
    times = []
    for call in calls:
        began = time.perf_counter()
        client.call(model, call)
        times.append(time.perf_counter() - began)
    return float(np.median(times) * 1e3)


def throughput(url: str, model: str, calls: list[dict[str, Any]], clients: int, seconds: float) -> float:
    """Rows a second that `clients` closed-loop clients get."""
    done = [0] * clients
    rows = len(calls[0]["unit_id"][1])
    end = time.perf_counter() + seconds

    def work(i: int) -> None:
        with Client(url, deadline_ms=10_000) as client:
            while time.perf_counter() < end:
                client.call(model, calls[(i + done[i]) % len(calls)])
                done[i] += 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) * rows / (time.perf_counter() - began)


def paced_p99_ms(url: str, model: str, calls: list[dict[str, Any]], rate: float, clients: int = 16) -> float:
    """p99 of an open loop: calls are due at `rate` a second whether or not earlier ones were answered, and a call's time
    runs from when it was due, so that waiting for a free client counts (no coordinated omission)."""
    began, times, seconds = time.perf_counter() + 0.1, [], 2.0

    def work(i: int) -> None:
        with Client(url, deadline_ms=10_000) as client:
            for n in range(i, int(rate * seconds), clients):
                due = began + n / rate
                time.sleep(max(0.0, due - time.perf_counter()))
                client.call(model, calls[n % len(calls)])
                times.append((time.perf_counter() - due) * 1e3)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return float(np.percentile(times, 99))


def row(
    name: str,
    workload: str,
    unit: str,
    ours: list[float],
    other: list[float],
    *,
    at_most: float = 0,
    at_least: float = 0,
) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    middle = float(np.median(ratios))
    return {
        "name": name,
        "workload": workload,
        "ours": float(np.median(ours)),
        "other": float(np.median(other)),
        "unit": unit,
        "ratio": middle,
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "rounds": len(ratios),
        "target": f"<= {at_most}" if at_most else f">= {at_least}",
        "met": middle <= at_most if at_most else middle >= at_least,
    }


def rows() -> list[dict[str, Any]]:
    home = Path(tempfile.mkdtemp(prefix="croupier-bench-"))
    try:
        apps.write(home, apps.trained("vw_cb_adf"))
        noop = home / "triton" / "noop"
        (noop / "1").mkdir(parents=True)
        (noop / "1" / "model.py").write_text(NOOP)
        config = (Path(apps.bundle.__file__).parents[1] / "triton" / SELECT_ARM / "config.pbtxt").read_text()
        (noop / "config.pbtxt").write_text(config.replace(f'name: "{SELECT_ARM}"', 'name: "noop"'))
        with TritonServer(home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=10_000) as client:
            from croupier.serving.operate.trial import load_model

            load_model(triton.grpc, "noop", home)
            return measure(client, triton.grpc)
    finally:
        shutil.rmtree(home)


def measure(client: Client, url: str) -> list[dict[str, Any]]:
    raws = [Raw.of(r) for r in apps.sample().requests(1024)]
    raws = [Raw(r.unit_id, r.context, r.arms, r.arm_context) for r in raws]  # ids are made: every call is new
    ones = [columns([r]) for r in raws[:400]]
    blocks = [columns(raws[i : i + 64]) for i in range(0, 1024, 64)]
    for model in (SELECT_ARM, "noop"):
        single_ms(client, model, ones)  # warm
    results: dict[str, list[float]] = {}
    for _ in range(ROUNDS):  # like beside like, so that both sides see the same minute of the machine
        for key, measured in (
            ("p50", lambda model: single_ms(client, model, ones)),
            ("c16", lambda model: throughput(url, model, ones, 16, 2.0)),
            ("b64", lambda model: throughput(url, model, blocks, 4, 2.0)),
        ):
            for model in (SELECT_ARM, "noop"):
                results.setdefault(f"{key} {model}", []).append(measured(model))
        half = results[f"c16 {SELECT_ARM}"][-1] / 2
        for model in (SELECT_ARM, "noop"):
            results.setdefault(f"half {model}", []).append(paced_p99_ms(url, model, ones, half))
    ours, other = (lambda k: results[f"{k} {SELECT_ARM}"]), (lambda k: results[f"{k} noop"])
    return [
        row(
            "Triton, one request",
            "B = 1, VW as tensors, logging FULL, against a no-op model",
            "ms p50",
            ours("p50"),
            other("p50"),
            at_most=2.0,
        ),
        row(
            "Triton, 16 clients",
            "16 × B = 1, against a no-op model",
            "decisions/s",
            ours("c16"),
            other("c16"),
            at_least=0.6,
        ),
        row(
            "Triton, half of peak load",
            "16 clients × B = 1, open loop, against 10 ms",
            "ms p99",
            ours("half"),
            [10.0] * ROUNDS,
            at_most=1.0,
        ),
        row(
            "the no-op model at that rate",
            "what this machine lets anyone have",
            "ms p99",
            other("half"),
            [10.0] * ROUNDS,
            at_most=1.0,
        ),
        row(
            "Triton, batches",
            "4 × B = 64, against 10,000 decisions/s",
            "decisions/s",
            ours("b64"),
            [10_000.0] * ROUNDS,
            at_least=1.0,
        ),
    ]
