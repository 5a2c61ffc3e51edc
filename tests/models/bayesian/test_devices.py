"""Scoring on a device gives the scores of the CPU within 1e-4, by the same code; the GPU's part needs a GPU."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from croupier.models import policy
from croupier.models.bayesian import arrays
from croupier.models.simulation.synthetic import LinearWorld
from tests.benchmarks import gpu

DEVICES = [
    "cpu",
    "cpu:0",  # torch's, as on a GPU
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here: the GPU half was not run"),
    ),
]
WORLD = LinearWorld.make(4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.medium
def test_the_gpu_benchmark_scores_what_numpy_says(device):
    """The network and the votes in float64 by hand; a draw within rounding of a tie may go either way."""
    scorer = gpu.Scorer.make(device)
    batch = scorer.requests(300)
    W, b = (arrays.host(each[0]).astype(np.float64)[..., :-1] for each in (scorer.layers.weights, scorer.layers.biases))
    arms = np.repeat(scorer.catalogue.features[None], 300, axis=0)
    x = np.concatenate([np.repeat(batch.context[:, None], gpu.ARMS, axis=1), arms], axis=2).astype(np.float64)
    hidden = np.maximum(x @ W + b, 0)
    phi = np.concatenate([hidden, np.ones((*hidden.shape[:2], 1))], axis=2)
    found = arrays.host(scorer.phi(batch)).reshape(phi.shape)
    assert np.abs(found - phi).max() < 1e-4
    scores = phi @ arrays.host(scorer.weights).astype(np.float64)
    drawn = arrays.host(arrays.product(scorer.phi(batch), scorer.weights)).reshape(scores.shape)
    assert np.abs(drawn - scores).max() < 1e-4 * np.abs(scores).max()
    won = np.apply_along_axis(np.bincount, 1, scores.argmax(axis=1), minlength=gpu.ARMS) / gpu.DRAWS
    assert np.abs(scorer.pmf(batch) - won).mean() < 1e-4
    assert len(np.unique(won)) > 20


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "parameters"), [
    ("neural_linear", {"epochs": 2, "hidden": (16, 8)}), ("lin_ts", {}), ("lin_ts", {"heads": "per_arm"}), ("lin_ucb", {}),
])  # fmt: skip
def test_a_policy_answers_on_a_device_as_on_the_cpu(tmp_path, name, parameters, device):
    learner = policy.make(name, **parameters).learn([WORLD.log(500, 1)], seed=5)
    learner.save(tmp_path)
    facts = (tmp_path / "policy.json").read_text()
    (tmp_path / "policy.json").write_text(facts.replace('"device": "cpu"', f'"device": "{device}"'))
    moved, batch = policy.load(tmp_path), WORLD.requests(200, np.random.default_rng(1))
    assert moved.device == device
    assert np.abs(moved.pmf(batch) - learner.pmf(batch)).mean() < 1e-4


@pytest.mark.medium
def test_it_says_so_where_there_is_no_gpu_and_measures_the_cpu_when_asked():
    if not torch.cuda.is_available():
        said = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.gpu"], capture_output=True, text=True, check=True
        )
        assert said.stdout == "bench-gpu: this machine has no CUDA device that torch can use, so nothing was measured\n"
    found = gpu.measure("cpu", contexts=50, batch=32, size=256, rounds=1)
    assert found["kernel_ms"] > 0
    assert found["decisions_per_second"] > 0
    assert 0 < found["share_of_peak"] < 10


@pytest.mark.medium
def test_the_benchmark_imports_numpy_and_torch_alone():
    """A rented machine has no more than that."""
    absent = ["scipy", "polars", "pyarrow", "orjson", "safetensors", "tqdm", "sklearn", "threadpoolctl"]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import tests.benchmarks.gpu as g; print(g.ARMS)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "20\n"


@pytest.mark.parametrize("draws", [8, 100, 256, 2040, 2048])
def test_votes_are_counted_alike_however_many_there_are(draws):
    for share in (0.0, 0.3, 1.0):  # all won: the most that the bytes of a number must hold
        won = np.random.default_rng(1).random((24, 80, draws)) < share
        assert (arrays.total(won) == won.sum(axis=2)).all()
    aside = won.transpose(1, 0, 2)  # not in one piece
    assert (arrays.total(aside) == aside.sum(axis=2)).all()
