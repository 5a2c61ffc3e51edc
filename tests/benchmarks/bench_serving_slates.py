"""A slate of three of twenty arms against one arm of twenty, by the embedded selector, 64 requests a batch."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from croupier import Embedded
from croupier.serving.contract.slates import SlateRequest
from tests.serving import apps
from tests.serving.embedded.shop import opened, publish

ROUNDS, BATCH, K, TARGET = 25, 64, 3, 1.6


def rows() -> list[dict[str, Any]]:
    return [measure(policy) for policy in ("lin_ts", "neural_linear")]


def measure(policy: str) -> dict[str, Any]:
    """Ratio of CPU time of this process, round by round."""
    one, many = [], []
    with tempfile.TemporaryDirectory() as folder:
        publish(opened(Path(folder)), apps.trained(policy))
        with Embedded("shop", var=Path(folder)) as shop:
            arms = shop.arms()
            asked = [replace(r, arms=arms, arm_context=(), event_id="") for r in apps.sample().requests(BATCH)]
            slates = [SlateRequest(unit_id=r.unit_id, context=r.context, arms=arms, slots=[{}] * K) for r in asked]
            for _ in range(ROUNDS):
                one.append(spent(lambda: shop.select_batch(asked)))
                many.append(spent(lambda: shop.select_slates(slates)))
    ratio = np.array(many) / np.array(one)
    return {
        "name": f"slate of {K} against one arm, {policy}",
        "workload": f"{len(arms)} arms, B = {BATCH}, embedded",
        "ours": float(np.median(many)) * 1e6 / BATCH,
        "other": float(np.median(one)) * 1e6 / BATCH,
        "unit": "µs CPU a request",
        "ratio": float(np.median(ratio)),
        "ratio_min": float(ratio.min()),
        "ratio_max": float(ratio.max()),
        "rounds": ROUNDS,
        "target": f"≤ {TARGET}",
        "met": bool(np.median(ratio) <= TARGET),
    }


def spent(call: Any) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
