"""A slate of three of twenty arms against one arm of twenty, 64 requests a batch: by a Triton, one call for all slots, in
CPU of all its processes; and by the embedded selector: decided at once, as nothing is asked of them or as app.toml asks
for minimums and unlike arms, and slot after slot as slates whose slots have features are."""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from croupier import Client, Embedded
from croupier.serving.contract.slates import SlateRequest, decided, named
from croupier.serving.slates.page import PageLog
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.embedded.shop import opened, publish
from tests.serving.ended_at_once import EndedAtOnce
from tests.serving.slates.declared import DECLARED, UNLIKE, declared

ROUNDS, BATCH, K, TARGET = 60, 64, 3, 1.6
SERVED, CALLS = 12, 20  # rounds with a Triton, and calls of each: its CPU is counted in hundredths of a second
POLICIES = ("lin_ts", "neural_linear", "vw_cb_adf")


def rows() -> list[dict[str, Any]]:
    return [row for policy in POLICIES for row in (*served(policy), *measure(policy))]


def served(policy: str) -> list[dict[str, Any]]:
    """CPU time of Triton's processes, one way after the other in each round of CALLS calls."""
    with tempfile.TemporaryDirectory() as folder:
        w = opened(Path(folder))
        publish(w, apps.trained(policy))
        with EndedAtOnce(w.home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
            arms, group = [arm.arm_id for arm in w.arms()], triton.process.pid
            asked = [replace(r, arms=arms, arm_context=(), event_id="") for r in apps.sample().requests(BATCH)]
            slates = [SlateRequest(unit_id=r.unit_id, context=r.context, arms=arms, k=K) for r in asked]
            ways = {
                "one": lambda: client.select_batch(asked),
                "of one call": lambda: client.select_slates(slates),
                "slot after slot": lambda: decided(client.select_batch, named(slates)),
            }
            took = {name: np.empty(SERVED) for name in ways}
            for i in range(SERVED):
                for name, call in ways.items():
                    began = cpu(group)
                    for _ in range(CALLS):
                        call()
                    took[name][i] = (cpu(group) - began) / CALLS
    return [
        row(f"slate of {K} {way} against one arm, {policy}", took[way], took["one"], "Triton")
        for way in ways
        if way != "one"
    ]


def cpu(group: int) -> float:
    """Seconds of CPU that the processes of a group have taken."""
    found = 0.0
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group:
                found += sum(process.cpu_times()[:2])
    return found


def measure(policy: str) -> list[dict[str, Any]]:
    """CPU time of this process, one way after the other in each round."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        publish(opened(Path(folder)), apps.trained(policy))
        publish(declared(Path(other), UNLIKE + DECLARED), apps.trained(policy))
        with Embedded("shop", var=Path(folder)) as shop, Embedded("shop", var=Path(other)) as held:
            arms = shop.arms()
            asked = [replace(r, arms=arms, arm_context=(), event_id="") for r in apps.sample().requests(BATCH)]
            slates = [SlateRequest(unit_id=r.unit_id, context=r.context, arms=arms, k=K) for r in asked]
            ways = {
                "one": lambda: shop.select_batch(asked),
                "at once": lambda: shop.select_slates(slates),
                "at once with minimums and unlike arms": lambda: held.select_slates(slates),
                "slot after slot": lambda: slot_after_slot(shop, slates),
            }
            took = {name: np.empty(ROUNDS) for name in ways}
            for i in range(ROUNDS):
                for name, call in ways.items():
                    took[name][i] = spent(call)
    return [
        row(f"slate of {K} {way} against one arm, {policy}", took[way], took["one"]) for way in ways if way != "one"
    ]


def row(name: str, ours: Any, other: Any, where: str = "embedded") -> dict[str, Any]:
    ratio = ours / other
    return {
        "name": name,
        "workload": f"20 arms, B = {BATCH}, {where}",
        "ours": float(np.median(ours)) * 1e6 / BATCH,
        "other": float(np.median(other)) * 1e6 / BATCH,
        "unit": "µs CPU a request",
        "ratio": float(np.median(ratio)),
        "ratio_min": float(ratio.min()),
        "ratio_max": float(ratio.max()),
        "rounds": len(ratio),
        "target": f"≤ {TARGET}",
        "met": bool(np.median(ratio) <= TARGET),
    }


def slot_after_slot(shop: Embedded, slates: list[SlateRequest]) -> None:
    page = PageLog(shop.host.spool)
    decided(shop.host.selector.recording_in(page).select, named(slates))
    page.commit([])


def spent(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
