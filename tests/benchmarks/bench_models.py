"""The learners against VW's own driver, a bare PyTorch loop, and the Python peers, on equal data in the same run.

A peer that cannot be installed (tests/benchmarks/peers.py) is left out, and that is said.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import vowpalwabbit

from croupier.features.batch import Interactions
from croupier.features.encoding import dataset
from croupier.models.bayesian.linear import LinTS
from croupier.models.bayesian.neural_linear import NeuralLinear, chosen_features
from croupier.models.simulation.synthetic import LinearWorld
from croupier.models.vw import train
from croupier.models.vw.policy import BilinearPolicy
from tests.benchmarks import peers

ROUNDS = 3
WORLD = LinearWorld.make(0, arms=30, candidates=10, d_u=16, d_a=8, d_p=2)


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def row(
    name: str, workload: str, ours: list[float], other: list[float], target: str, *, unit: str = "s"
) -> dict[str, Any]:
    """Ratio = ours / other where the target is an upper bound, other / ours where it is a speed-up."""
    faster = target.startswith(">=")
    ratios = [b / a if faster else a / b for a, b in zip(ours, other, strict=True)]
    ratio, limit = float(np.median(ratios)), float(target[2:])
    return {
        "name": name,
        "workload": workload,
        "ours": float(np.median(ours)),
        "other": float(np.median(other)),
        "unit": unit,
        "ratio": ratio,
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "rounds": len(ours),
        "target": target,
        "met": ratio >= limit if faster else ratio <= limit,
    }


def whole_text(log: Interactions) -> str:
    """A log as VW's own users write it, with every candidate's features."""
    examples = train.text(log.batch).strip().split("\n\n")
    for i, example in enumerate(examples):
        lines = example.split("\n")
        lines[log.chosen[i] + 1] = f"0:{1 - log.reward[i]:g}:{log.propensity[i]:.9g} {lines[log.chosen[i] + 1]}"
        examples[i] = "\n".join(lines)
    return "\n\n".join(examples) + "\n\n"


def vw_training() -> dict[str, Any]:
    """Parquet → text → VW → tensors, against VW's driver on a ready binary cache plus VW's run that wrote it."""
    policy, ours, other = BilinearPolicy(), [], []
    with tempfile.TemporaryDirectory() as folder:
        encoder: Any = SimpleNamespace(digest="synthetic")
        dataset.write(Path(folder, "log.parquet"), [WORLD.log(20_000, s, ragged=False) for s in range(3)], encoder)
        log = dataset.read(Path(folder, "log.parquet"), WORLD.catalogue)
        with Path(folder, "log.txt").open("w") as file:
            file.writelines(whole_text(chunk) for chunk in log)
        flags = f"{policy.flags} --cb_type mtr -q UA -b 18 -d {folder}/log.txt --quiet"
        for i in range(ROUNDS):
            cached = f"{flags} --cache_file {folder}/cache{i}"
            other.append(sum(seconds(lambda c=cached: vowpalwabbit.Workspace(c).finish()) for _ in range(2)))
            ours.append(seconds(lambda: policy.learn(log)))
    return row("VW CB-ADF training, Parquet to tensors", "60,000 rows × 10 arms × 26 features", ours, other, "<= 1.3")


def lints_against_vw() -> dict[str, Any]:
    """The whole log into the posterior, against VW over files: writing its text and reading it."""
    log, ours, other = WORLD.log(100_000, 1, ragged=False), [], []

    def by_vw() -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "log.txt").write_text(whole_text(log))
            vowpalwabbit.Workspace(f"{BilinearPolicy().flags} -q UA -d {folder}/log.txt --quiet").finish()

    for _ in range(ROUNDS):
        ours.append(seconds(lambda: LinTS(heads="per_arm").learn([log])))
        other.append(seconds(by_vw))
    return row("LinTS against VW over files", "100,000 events, 30 arms, 19 features", ours, other, ">= 40")


TIMED = f"""
import json, logging, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
logging.disable()
data = np.load(sys.argv[1])
def timed(work):
    work()
    times = []
    for _ in range({ROUNDS}):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    print(json.dumps(times))
"""
LINTS = {
    "mabwiser": """
from mabwiser.mab import MAB, LearningPolicy
X, arm, r = data["X"].astype(float), data["arm"], data["reward"]
timed(lambda: MAB(list(range(30)), LearningPolicy.LinTS(alpha=1.0), n_jobs=1).fit(arm, r, X))
""",
    "bayesianbandits": """
from bayesianbandits import Arm, ContextualAgent, NormalInverseGammaRegressor, ThompsonSampling
X, arm, r = data["X"].astype(float), data["arm"], data["reward"]
def fit():
    agent = ContextualAgent([Arm(k, learner=NormalInverseGammaRegressor()) for k in range(30)], ThompsonSampling())
    for k in range(30):
        agent.select_for_update(k).update(X[arm == k], r[arm == k])
timed(fit)
""",
}
CALVERA = """
import lightning, torch
from torch import nn
from calvera.bandits import NeuralLinearBandit
from calvera.utils.data_storage import AllDataRetrievalStrategy, TensorDataBuffer
torch.set_num_threads(1)
X, r = torch.from_numpy(data["X"])[:, None], torch.from_numpy(data["reward"].astype("float32"))[:, None]
def update():
    network = nn.Sequential(nn.Linear(26, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
    bandit = NeuralLinearBandit(network=network, buffer=TensorDataBuffer(AllDataRetrievalStrategy()),
                                n_embedding_size=64, train_batch_size=128, early_stop_threshold=None)
    bandit.record_feedback(X, r)
    lightning.Trainer(max_epochs=3, enable_progress_bar=False, enable_model_summary=False, logger=False,
                      enable_checkpointing=False, accelerator="cpu").fit(bandit)
timed(update)
"""


def cpu_seconds(work: Callable[[], Any]) -> list[float]:
    """Of ROUNDS calls after a first one, as the peers measure themselves: on a busy machine walls say little."""
    work()
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return times


def against(peer: str, script: str, ours: list[float], arrays: dict[str, Any], **about: str) -> list[dict[str, Any]]:
    try:
        return [row(**about, ours=ours, other=peers.run(peer, TIMED + script, **arrays))]  # type: ignore[arg-type]
    except RuntimeError as error:
        print(f"bench_models: without {peer}: {error}")
        return []


def lints_against_peers() -> list[dict[str, Any]]:
    """A LinTS of 30 arms fitted by the peers on the same rows, one thread each, CPU time of each process. They are given
    the features of the chosen arm ready; ours finds them in the log itself."""
    log = WORLD.log(100_000, 1, ragged=False)
    rows, b = np.arange(len(log)), log.batch
    X = np.concatenate([b.context, b.pair[rows, log.chosen], np.ones((len(log), 1))], axis=1)
    arrays = {"X": X, "arm": b.arm[rows, log.chosen], "reward": log.reward}
    ours = cpu_seconds(lambda: LinTS(heads="per_arm").learn([log]))
    found = [
        against(
            peer,
            script,
            ours,
            arrays,
            name=f"LinTS against {peer}",
            target=">= 2",
            workload="100,000 events, 30 arms, 19 features",
        )
        for peer, script in LINTS.items()
    ]
    return [one for each in found for one in each]


def neural_against_calvera() -> list[dict[str, Any]]:
    """An update from new rows: training at equal epochs and batches, and the head rebuilt from all rows. CPU time."""
    log = WORLD.log(4096, 1, ragged=False)
    policy = NeuralLinear(hidden=(128, 64), epochs=3, holdout=0.0, batch_size=128)
    ours = cpu_seconds(lambda: policy.learn([log]))
    return against(
        "calvera",
        CALVERA,
        ours,
        {"X": chosen_features(log), "reward": log.reward},
        target=">= 10",
        name="neural-linear update against calvera",
        workload="4,096 rows × 3 epochs, 26-128-64",
    )


def neural_training() -> dict[str, Any]:
    """A whole training against the bare loop of the same network, batches, optimiser and epochs."""
    log, epochs = [WORLD.log(40_000, 1, ragged=False)], 3
    policy = NeuralLinear(hidden=(128, 64), epochs=epochs, holdout=0.0, batch_size=256)

    def bare() -> None:
        x = torch.randn(40_000, 26)
        y = torch.randn(40_000)
        net = torch.nn.Sequential(
            torch.nn.Linear(26, 128), torch.nn.ReLU(), torch.nn.Linear(128, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
        )
        optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
        for _ in range(epochs):
            for rows in torch.randperm(40_000).split(256):
                optimiser.zero_grad()
                ((net(x[rows])[:, 0] - y[rows]) ** 2).mean().backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimiser.step()

    ours, other = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: policy.learn(log)))
        other.append(seconds(bare))
    return row("neural-linear: survey, training, posterior", "40,000 rows × 3 epochs, 26-128-64", ours, other, "<= 1.2")


def scoring() -> dict[str, Any]:
    """The tensors against VW's own predict: the same model, the same answers."""
    policy, batch = BilinearPolicy().learn([WORLD.log(2000, 1)]), WORLD.requests(512, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        policy.learn([WORLD.log(2000, 1)]).save(Path(folder))
        assert policy.trained is not None
        Path(folder, "peer.vw").write_bytes(policy.trained.model)
        vw = vowpalwabbit.Workspace(f"-i {folder}/peer.vw -t --quiet")
        examples = train.text(batch).strip().split("\n\n")
        ours, other = [], []
        for _ in range(ROUNDS):
            ours.append(seconds(lambda: [policy.pmf(batch[slice(i, i + 64)]) for i in range(0, 512, 64)]) / 512 * 1e6)
            other.append(seconds(lambda: [vw.predict(t.split("\n")) for t in examples]) / 512 * 1e6)
        vw.finish()
    return row("a decision: tensors against pyvw", "10 arms × 26 features, 64 a batch", ours, other, ">= 5", unit="µs")


class Stream:
    """A log that is made as it is read: nothing holds it whole."""

    def __init__(self, chunks: int) -> None:
        self.chunks, self.chunk = chunks, WORLD.log(100_000, 1, ragged=False)

    def __iter__(self) -> Iterator[Interactions]:
        for _ in range(self.chunks):
            yield self.chunk


def memory() -> dict[str, Any]:
    """Peak memory of training on a streamed log, in GB: ten or a hundred times the rows, the same memory."""
    rows = int(os.environ.get("CROUPIER_BENCH_MEMORY_ROWS", "10000000"))
    LinTS(heads="per_arm").learn(Stream(rows // 100_000))
    NeuralLinear(epochs=1, batch_size=8192, holdout=0.01).learn(Stream(rows // 100_000))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return row("peak memory, streamed", f"{rows:,} rows, LinTS and neural-linear", [peak], [2.0], "<= 1", unit="GB")


def rows() -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    found = [
        vw_training(),
        lints_against_vw(),
        *lints_against_peers(),
        *neural_against_calvera(),
        neural_training(),
        scoring(),
        memory(),
    ]
    sys.stdout.flush()
    return found
