"""Thompson sampling against the Python libraries that have it, on workload J (20 arms, 32 + 32 features), B = 64.

Ours returns every arm's exact probability and the arm drawn from it by event id; the peers return an arm, by one draw.
Encoded features on both sides, one thread, CPU time of each process. A peer that cannot be installed is left out, and
that is said.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from croupier.models.bayesian.linear import LinTS
from croupier.models.bayesian.neural_linear import NeuralLinear
from croupier.serving.decide import draws
from tests.benchmarks import peers
from tests.benchmarks.bench_serving import row
from tests.benchmarks.bench_serving_vw import EVENTS, ROUNDS, B, Workload, each

TIMED = f"""
import json, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
data = np.load(sys.argv[1])
context, arms = data["context"], data["arms"]
def each(work):
    work(0)
    times = []
    for _ in range({ROUNDS}):
        began = time.process_time()
        for i in range(0, 512, {B}):
            work(i)
        times.append((time.process_time() - began) / 512 * 1e6)
    print(json.dumps(times))
"""
CALVERA = """
import torch
from torch import nn
from calvera.bandits import NeuralLinearBandit
torch.set_num_threads(1)
network = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
bandit = NeuralLinearBandit(network=network, buffer=None, n_embedding_size=64, lazy_uncertainty_update=LAZY)
X = np.concatenate([np.repeat(context[:, None], len(arms), 1), np.repeat(arms[None], len(context), 0)], axis=2)
X = torch.from_numpy(X)
with torch.no_grad():
    each(lambda i: bandit(X[i : i + 64]))
"""
BAYESIAN_ARMS = """
from bayesianbandits import Arm, ContextualAgent, NormalInverseGammaRegressor, ThompsonSampling
agent = ContextualAgent(
    [Arm(k, learner=NormalInverseGammaRegressor()) for k in range(len(arms))], ThompsonSampling(), random_seed=0)
X = np.concatenate([context.astype(np.float64), np.ones((len(context), 1))], axis=1)
for k in range(len(arms)):
    agent.select_for_update(k).update(X[k :: len(arms)], X[k :: len(arms), 0])
each(lambda i: agent.pull(X[i : i + 64]))
"""
BAYESIAN_SHARED = """
from bayesianbandits import Arm, FunctionArmFeaturizer, LipschitzContextualAgent, NormalInverseGammaRegressor
from bayesianbandits import ThompsonSampling
def features(X, tokens):
    out = np.ones((len(X), 65, len(tokens)))
    out[:, :32] = X[:, :, None]
    out[:, 32:64] = arms[tokens].T
    return out
agent = LipschitzContextualAgent(
    [Arm(k) for k in range(len(arms))], ThompsonSampling(), FunctionArmFeaturizer(features),
    NormalInverseGammaRegressor(), random_seed=0)
X = context.astype(np.float64)
rows = np.concatenate([X, arms[np.arange(len(X)) % len(arms)], np.ones((len(X), 1))], axis=1)
agent.learner.partial_fit(rows, rows[:, 0] + np.random.default_rng(0).normal(size=len(rows)))
each(lambda i: agent.pull(X[i : i + 64]))
"""


def rows() -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    w = Workload()
    batches = {i: w.batch(i, B) for i in range(0, 512, B)}
    neural = {S: NeuralLinear(hidden=(128, 64), epochs=3, draws=S).learn([w.log], seed=1) for S in (64, 256)}
    linear = {S: LinTS(cross="none", draws=S).learn([w.log], seed=1) for S in (1, 128)}

    def arm(policy: Any, i: int) -> Any:
        return draws.draw(policy.pmf(batches[i]).tolist(), "salt", EVENTS)

    def fresh(policy: LinTS, i: int) -> Any:
        """The same posterior, its draws made anew."""
        return arm(policy.with_head(policy.head), i)

    calvera, bayesian = "neural-linear 64-128-64 against calvera", "linear Thompson sampling against bayesianbandits"
    sides: list[tuple[str, str, str, str, Callable[[int], Any], float]] = [
        ("calvera", CALVERA.replace("LAZY", "True"), calvera, "64 draws a batch on both sides, its fastest setting", lambda i: arm(neural[64], i), 2.5),
        ("calvera", CALVERA.replace("LAZY", "False"), calvera, "S = 256 votes against one draw each, its defaults", lambda i: arm(neural[256], i), 2.5),
        ("bayesianbandits", BAYESIAN_ARMS, bayesian, "S = 128 fresh draws a batch against one, its learner one an arm",
         lambda i: fresh(linear[128], i), 4.0),
        ("bayesianbandits", BAYESIAN_SHARED, bayesian, "one fresh draw a batch on both sides, its learner shared by arms",
         lambda i: fresh(linear[1], i), 4.0),
    ]  # fmt: skip
    found = []
    for peer, script, name, workload, work, target in sides:
        try:
            other = peers.run(peer, TIMED + script, context=context(w), arms=w.catalogue.features)
        except RuntimeError as error:
            print(f"bench_serving_peers: left out: {error}")
            continue
        ours = [each(work, size=B) for _ in range(ROUNDS)]
        faster = row(name, f"B = 64, {workload}", "times as fast (µs a decision)", other, ours, at_least=target)
        found.append(faster | {"ours": float(np.median(ours)), "other": float(np.median(other))})
    return found


def context(w: Workload) -> Any:
    return np.concatenate([w.batch(i, B).context for i in range(0, 512, B)])
