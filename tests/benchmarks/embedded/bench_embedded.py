"""One decision at a time (B = 1), 20 arms and 64 features of context, each on record when it is answered (`NORMAL`): in one's
own process, and behind a real Triton, turn by turn."""

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from croupier import Client, Embedded
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.models.policy import make
from croupier.serving.operate import deployment, verdict_release
from croupier.serving.triton.server import Ports
from tests.serving.allocation import pages
from tests.serving.ended_at_once import EndedAtOnce

FEATURES, ARMS, ROWS, ROUNDS, CALLS, TARGET_US = 64, 20, 2000, 12, 200, 400.0
POLICIES = ("vw_cb_adf", "neural_linear", "lin_ts")
NAMES = [f"a{k}" for k in range(ARMS)]
DECLARED = "".join(f'[context.f{j}]\ntype = "numeric"\ntransform = "none"\n' for j in range(FEATURES))
TOML = f"""
[reward]
window_seconds = 60.0
[reward.kinds.click]
[policies]
floor = 0.05
[arm.kind]
type = "categorical"
{DECLARED}"""


def rows() -> list[dict[str, Any]]:
    before = os.environ.get("CROUPIER_DURABILITY")
    os.environ["CROUPIER_DURABILITY"] = "NORMAL"
    try:
        return [measure(policy) for policy in POLICIES]
    finally:
        os.environ.pop("CROUPIER_DURABILITY") if before is None else os.environ.update(CROUPIER_DURABILITY=before)


def measure(policy: str) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    contexts = [{f"f{j}": float(v) for j, v in enumerate(row)} for row in rng.normal(size=(ROWS, FEATURES))]
    arms = {name: {"kind": f"k{k % 4}"} for k, name in enumerate(NAMES)}
    with tempfile.TemporaryDirectory() as var:
        os.environ["CROUPIER_VAR"] = var
        with Embedded.declared("shop", toml=TOML, arms=arms, var=var) as app:
            taught(app, policy, contexts, rng)
            deployment.follow(app.host.w.store, app.host.w.home, triton=None)
            own, behind, ports = [], [], Ports.free()
            with EndedAtOnce(app.host.w.home, ports=ports) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
                for i in range(ROUNDS + 1):  # the first is for warming up
                    own.append(took(app.select, contexts, f"own{i}"))
                    behind.append(took(client.select, contexts, f"triton{i}"))
    return row(policy, np.array(own[1:]), np.array(behind[1:]))


def taught(app: Embedded, policy: str, contexts: list[dict[str, float]], rng: np.random.Generator) -> None:
    """A release of the policy, which has learnt from uniform decisions."""
    w = app.host.w
    answers = [app.select(unit_id=f"u{i}", context=context, event_id=f"t{i}") for i, context in enumerate(contexts)]
    found = app.host.spool.find([a.event_id for a in answers])
    log = pages.interactions([found[a.event_id] for a in answers], (rng.random(ROWS) < 0.2).astype(float).tolist())
    encoder = Encoder.fit(w.spec, log, w.arms())
    learned = make(policy).learn([encode_interactions(log, encoder, encoder.catalogue(w.arms()))], seed=1)
    verdict_release.release_policies(w, champion=learned, candidate=None, encoder=encoder, arms=w.arms(), meta={})
    app.host.look()


def took(select: Callable[..., Any], contexts: list[dict[str, float]], name: str) -> list[float]:
    """µs of each call."""
    out = []
    for k in range(CALLS):
        began = time.perf_counter()
        answer = select(unit_id=f"u{k}", context=contexts[k], arms=NAMES, event_id=f"{name}-{k}")
        out.append((time.perf_counter() - began) * 1e6)
        assert answer.role == "champion", answer
    return out


def row(policy: str, own: Any, behind: Any) -> dict[str, Any]:
    ours, other = np.median(own, axis=1), np.median(behind, axis=1)
    ratio = ours / other
    return {
        "name": f"one decision embedded against behind Triton, {policy}",
        "workload": f"B = 1, {ARMS} arms, {FEATURES} features, NORMAL",
        "ours": float(np.median(ours)), "other": float(np.median(other)), "unit": "µs, p50",
        "ratio": float(np.median(ratio)), "ratio_min": float(ratio.min()), "ratio_max": float(ratio.max()),
        "rounds": ROUNDS, "target": f"≤ {TARGET_US:g} µs", "met": bool(np.median(ours) <= TARGET_US),
    }  # fmt: skip
