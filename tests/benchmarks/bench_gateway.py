"""The gateway with the embedded selector, fsynced, against an empty starlette app behind the same uvicorn, in the same
run: what a decision over HTTP costs on top of HTTP.

16 connections, 10 actions × 10 features, 10 features of context, as Personalizer's clients send them; a trained policy.
The client runs on the same cores. Where others work on them, too, the CPU time of the gateway's own processes is what
remains comparable: ranks a CPU second.
"""

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from croupier import Embedded
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.versions import read_interactions
from croupier.models import policy
from croupier.serving.operate import verdict_release
from croupier.serving.triton.server import Ports
from tests.benchmarks.bench_serving import row
from tests.serving.gateway import load
from tests.serving.gateway.door import Gateway, declared, joined, workspace

ROUNDS, CALLS, WORKERS = 3, 4000, 2
RANK = "/personalizer/v1.0/rank"
NAMES = [f"f{i}" for i in range(10)]
TOML = """
[reward]
window_seconds = 600.0
range = [0, 1]
[reward.kinds.click]
[policies]
floor = 0.05
""" + "".join(f'[context.{name}]\ntype = "numeric"\n[arm.{name}]\ntype = "numeric"\n' for name in NAMES)
ARMS = {f"arm-{i}": {name: round(random.Random(f"{i}{name}").random(), 3) for name in NAMES} for i in range(10)}
EMPTY = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
import orjson

async def rank(request):
    found = orjson.loads(await request.body())
    ranking = [{"id": each["id"], "probability": 0.1} for each in found["actions"]]
    return JSONResponse({"ranking": ranking, "eventId": "e", "rewardActionId": ranking[0]["id"]}, 201)

app = Starlette(routes=[Route("/personalizer/v1.0/rank", rank, methods=["POST"])])
"""


def calls(n: int, rng: random.Random) -> list[bytes]:
    """Ranks as a caller sends them: every action with its features."""
    actions = [{"id": name, "features": [features]} for name, features in ARMS.items()]
    return [
        load.posted(RANK, {"actions": actions, "contextFeatures": [{name: rng.random() for name in NAMES}]})
        for _ in range(n)
    ]


def used(pid: int) -> float:
    """CPU seconds of a server's processes so far."""
    root = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (root, *root.children(recursive=True)))


@contextlib.contextmanager
def empty(folder: Path) -> Any:
    """The empty app, (port, pid)."""
    (folder / "empty.py").write_text(EMPTY)
    port = Ports.free().grpc
    command = [sys.executable, "-m", "uvicorn", "empty:app", "--port", str(port), "--workers", str(WORKERS)]
    command += ["--http", "httptools", "--no-access-log", "--log-level", "error"]
    with subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}) as server:
        try:
            _answers(port)
            load.run(port, calls(50, random.Random(0)))
            yield port, server.pid
        finally:
            server.terminate()


def _answers(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise RuntimeError("the empty app: found no answer in a minute, expected one")


def publish(var: Path) -> None:
    """A release whose champion is trained on some hundred decisions and rewards of this very app."""
    rng = random.Random(2)
    with Embedded("shop", var=var) as shop:
        for i in range(500):
            chosen = shop.select(unit_id=f"u{i}", context={name: rng.random() for name in NAMES})
            shop.reward(event_id=chosen.event_id, kind="click", value=ARMS[chosen.arm]["f0"])
    w, now = workspace(var), datetime.now(UTC)
    joined(var)
    table = read_interactions(w.store, start=now - timedelta(hours=3), end=now + timedelta(hours=1))
    arms = w.arms()
    encoder = Encoder.fit(w.spec, table, arms)
    log = encode_interactions(table, encoder, encoder.catalogue(arms))
    champion = policy.make("vw_cb_adf").learn([log], seed=1)
    verdict_release.release_policies(
        w, champion=champion, candidate=None, encoder=encoder, arms=arms, meta={"verdict": "benchmark"}
    )


def measured(port: int, pid: int, asked: list[bytes]) -> tuple[float, float]:
    """(ranks/s, ranks a CPU second of the server), 16 connections."""
    before = used(pid)
    found = load.run(port, asked)
    if found.statuses.keys() != {201}:
        raise RuntimeError(f"found answers {dict(found.statuses)}, expected 201 alone")
    return found.rate, len(asked) / (used(pid) - before)


def rows() -> list[dict[str, Any]]:
    asked, found = calls(CALLS, random.Random(1)), dict[str, list[float]]()
    with tempfile.TemporaryDirectory(prefix="croupier-bench-") as folder:
        var = declared(Path(folder) / "var", toml=TOML, arms=ARMS)
        publish(var)
        options = ("--workers", str(WORKERS))
        with Gateway(var, *options, CROUPIER_DURABILITY="FULL") as gateway, empty(Path(folder)) as other:
            sides = {"ours": (gateway.port, gateway.process.pid), "other": other}
            for port, _ in sides.values():
                load.run(port, asked[:400])
            for _ in range(ROUNDS):  # like beside like: both see the same minute of the machine
                for name, (port, pid) in sides.items():
                    rate, per_cpu = measured(port, pid, asked)
                    paced = load.run(port, asked[: CALLS // 2], rate=rate / 2)
                    for what, value in zip(
                        ("rate", "cpu", "p50", "p99"),
                        (rate, per_cpu, paced.percentile(0.5) * 1e3, paced.percentile(0.99) * 1e3),
                        strict=True,
                    ):
                        found.setdefault(f"{name} {what}", []).append(value)
    return [
        row(
            "gateway, 16 connections",
            "10 actions × 10 features, FULL, 2 workers, client included; against an empty app",
            "ranks/s",
            found["ours rate"],
            found["other rate"],
            at_least=0.3,
        ),
        row("gateway, its own CPU", "the same", "ranks/CPU s", found["ours cpu"], found["other cpu"], at_least=0.3),
        row(
            "gateway, half of peak load",
            "open loop, against 15 ms",
            "ms p99",
            found["ours p99"],
            [15.0] * ROUNDS,
            at_most=1.0,
        ),
        row(
            "gateway, half of peak load",
            "open loop; the empty app at half of its own",
            "ms p50",
            found["ours p50"],
            found["other p50"],
            at_most=10,
        ),
        row(
            "an empty app at half of its own",
            "what this machine lets anyone have",
            "ms p99",
            found["other p99"],
            [15.0] * ROUNDS,
            at_most=1.0,
        ),
        row(
            "gateway, 16 connections",
            "against 1,500 ranks/s",
            "ranks/s",
            found["ours rate"],
            [1500.0] * ROUNDS,
            at_least=1.0,
        ),
    ]
