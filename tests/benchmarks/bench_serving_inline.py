"""Arms that requests bring along against the same arms in the catalogue, by the embedded selector: B = 64, K = 20.

"Seen once": each list has ids and features that never came before, so that nothing of it is known. "Again": 64 lists
that have come before. Requests are JSON already, as a server's are, and what is measured ends with the decisions on
record. CPU time of this process, one way after the other in each round.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from croupier import Embedded
from croupier.features.store import layout
from croupier.serving.contract.requests import Raw
from tests.serving import apps
from tests.serving.embedded.shop import opened, publish

ROUNDS, BATCH, TARGET = 60, 64, 1.5
POLICIES = ("lin_ts", "neural_linear", "vw_cb_adf")


def rows() -> list[dict[str, Any]]:
    return [row for policy in POLICIES for row in measure(policy)]


def measure(policy: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, Embedded("shop", var=published(Path(folder), policy)) as shop:
        ways = {"catalogue": catalogue(), "seen once": once(), "again": again()}
        took = {name: np.empty(ROUNDS) for name in ways}
        for i in range(-4, ROUNDS):  # four rounds are for warming up
            for name, batches in ways.items():
                took[name][i] = spent(shop, next(batches))
    return [
        row(f"arms in the request, {way}, {policy}", took[way], took["catalogue"]) for way in ("seen once", "again")
    ]


def published(var: Path, policy: str) -> Path:
    """The folder of an app whose arms come from the catalogue and from requests."""
    w = opened(var)
    toml = w.home / layout.APP_TOML
    toml.write_text(toml.read_text() + '[arms]\nsource = "both"\n')
    publish(w, apps.trained(policy))
    return var


def catalogue() -> Iterator[list[Raw]]:
    """Requests that list the ids of the catalogue."""
    ids = [arm.arm_id for arm in apps.sample().arms]
    raws = [Raw.of(replace(r, arms=ids, arm_context=(), event_id="")) for r in apps.sample().requests(BATCH)]
    while True:
        yield raws


def once() -> Iterator[list[Raw]]:
    """Requests with arms of their own, new in each batch: those of the catalogue, their numbers a little off."""
    rng, batch = np.random.default_rng(5), 0
    while True:
        batch += 1
        yield [
            Raw.of(replace(r, arms=brought(rng, f"{batch}-{i}"), arm_context=(), event_id=""))
            for i, r in enumerate(apps.sample().requests(BATCH))
        ]


def brought(rng: np.random.Generator, name: str) -> Sequence[Any]:
    """The arms of one request."""
    arms, noise = apps.sample().arms, rng.uniform(0.9, 1.1, len(apps.sample().arms))
    return [
        {"id": f"{arm.arm_id}-{name}", "features": {k: moved(v, float(by)) for k, v in arm.features.items()}}
        for arm, by in zip(arms, noise, strict=True)
    ]


def moved(value: Any, by: float) -> Any:
    """A number times `by`, with four digits behind the point; a text is itself."""
    return round(value * by, 4) if isinstance(value, float) else value


def again() -> Iterator[list[Raw]]:
    """One such batch, over and over."""
    raws = next(once())
    while True:
        yield raws


def spent(shop: Embedded, raws: list[Raw]) -> float:
    began = time.process_time()
    answers = shop.select_raw(raws)
    took = time.process_time() - began
    if refused := [a.error for a in answers if a.error]:
        raise AssertionError(refused[0])
    return took


def row(name: str, ours: Any, other: Any) -> dict[str, Any]:
    ratio = ours / other
    return {
        "name": name,
        "workload": f"20 arms of 3 features, B = {BATCH}, JSON to record, embedded, against ids of the catalogue",
        "ours": float(np.median(ours)) * 1e6 / BATCH,
        "other": float(np.median(other)) * 1e6 / BATCH,
        "unit": "µs CPU a request",
        "ratio": float(np.median(ratio)),
        "ratio_min": float(ratio.min()),
        "ratio_max": float(ratio.max()),
        "rounds": ROUNDS,
        "target": f"≤ {TARGET}",
        "met": bool(np.median(ratio) <= TARGET),
    }
