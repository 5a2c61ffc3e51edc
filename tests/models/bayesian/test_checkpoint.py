"""A training that died goes on from its checkpoint, to the very bytes of one that never did."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from croupier.models.bayesian.ensemble import MCDropout
from croupier.models.bayesian.networks.checkpoint import FusedAdam
from croupier.models.bayesian.neural_linear import NeuralLinear
from croupier.models.simulation.synthetic import LinearWorld

torch.set_num_threads(1)
WORLD = LinearWorld.make(4)


class Log:
    """Re-iterable; the machine dies at the beginning of pass `dies`."""

    def __init__(self, dies=None):
        self.chunks, self.passes, self.dies = [WORLD.log(300, 1), WORLD.log(300, 2)], 0, dies

    def __iter__(self):
        self.passes += 1
        if self.passes == self.dies:
            raise OSError("power cut")
        return iter(self.chunks)


def saved(learner, folder):
    folder.mkdir()
    learner.save(folder)
    return {f.name: f.read_bytes() for f in folder.iterdir()}


@pytest.mark.parametrize("kind", [NeuralLinear, MCDropout])
def test_resumed_has_the_bytes_of_uninterrupted(tmp_path, kind):
    """Passes over the log: one to survey, two an epoch (train, held out), one for the posterior."""
    whole = Log()
    expected = saved(kind(epochs=6, patience=9).learn(whole, seed=3), tmp_path / "whole")
    assert whole.passes == 1 + 2 * 6 + 1
    keeping, died = kind(epochs=6, patience=9, checkpoint=str(tmp_path / "kept")), Log(dies=1 + 2 * 4 + 1)
    with pytest.raises(OSError, match="power cut"):
        keeping.learn(died, seed=3)
    assert len(list((tmp_path / "kept").iterdir())) == 1
    rest = Log()
    assert saved(keeping.learn(rest, seed=3), tmp_path / "resumed") == expected
    assert rest.passes == 1 + 2 * 2 + 1
    assert list((tmp_path / "kept").iterdir()) == []


def test_another_seed_or_log_does_not_go_on_from_it(tmp_path):
    keeping = NeuralLinear(epochs=3, checkpoint=str(tmp_path / "kept"))
    with pytest.raises(OSError, match="power cut"):
        keeping.learn(Log(dies=5), seed=3)
    more = Log()
    more.chunks = [WORLD.log(300, 1), WORLD.log(300, 7)]
    for i, (how, log, seed) in enumerate([({}, Log(), 4), ({}, more, 3), ({"learning_rate": 1e-3}, Log(), 3)]):
        other = NeuralLinear(epochs=3, checkpoint=keeping.checkpoint, **how).learn(log, seed=seed)
        fresh = NeuralLinear(epochs=3, **how).learn(log, seed=seed)
        assert saved(other, tmp_path / f"{i}") == saved(fresh, tmp_path / f"fresh {i}")
        assert len(list((tmp_path / "kept").iterdir())) == 1


def test_the_best_epoch_is_remembered_through_a_death(tmp_path):
    """With this rate and seed the fourth epoch is the best, and it dies after the fifth."""
    wild = {"epochs": 6, "patience": 5, "learning_rate": 0.1}
    expected = saved(NeuralLinear(**wild).learn(Log(), seed=3), tmp_path / "whole")
    keeping = NeuralLinear(**wild, checkpoint=str(tmp_path / "kept"))
    with pytest.raises(OSError, match="power cut"):
        keeping.learn(Log(dies=1 + 2 * 5 + 1), seed=3)
    assert saved(keeping.learn(Log(), seed=3), tmp_path / "resumed") == expected


def test_early_stopping_is_remembered(tmp_path):
    """Weights that cannot get better (rate 0): one epoch and `patience` more, also when it died in between."""
    still = {"epochs": 20, "patience": 3, "learning_rate": 0.0}
    whole, rest = Log(), Log()
    NeuralLinear(**still).learn(whole)
    assert whole.passes == 1 + 2 * 4 + 1
    keeping = NeuralLinear(**still, checkpoint=str(tmp_path))
    with pytest.raises(OSError, match="power cut"):
        keeping.learn(Log(dies=1 + 2 * 3 + 1))
    keeping.learn(rest)
    assert rest.passes == 1 + 2 * 1 + 1


@pytest.mark.medium
def test_half_width_learns_as_much_and_keeps_full_weights():
    batch = WORLD.requests(2000, np.random.default_rng(9))
    truth, log = WORLD.expected(batch), [WORLD.log(4000, 1)]
    value = {}
    for precision in ("float32", "bfloat16"):
        learner = NeuralLinear(epochs=6, precision=precision).learn(log, seed=1)
        value[precision] = (learner.pmf(batch) * truth).sum(axis=1).mean()
        assert all(w.dtype == np.float32 for key, w in learner.state.items() if key != "seen")
    assert value["bfloat16"] != value["float32"]
    assert value["bfloat16"] == pytest.approx(value["float32"], abs=0.02)
    with pytest.raises(ValueError, match="precision: found 'float16'"):
        NeuralLinear(precision="float16")


@pytest.mark.parametrize("left", [0, 100, 5000])
def test_a_checkpoint_that_is_cut_is_named(tmp_path, left):
    keeping = NeuralLinear(epochs=3, checkpoint=str(tmp_path / "kept"))
    with pytest.raises(OSError, match="power cut"):
        keeping.learn(Log(dies=5), seed=3)
    (path,) = (tmp_path / "kept").iterdir()
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ValueError, match=f"{path.name}: found no whole checkpoint .* delete it"):
        keeping.learn(Log(), seed=3)
    path.unlink()
    fresh = saved(NeuralLinear(epochs=3).learn(Log(), seed=3), tmp_path / "fresh")
    assert saved(keeping.learn(Log(), seed=3), tmp_path / "anew") == fresh


@pytest.mark.medium  # theirs imports the compiler
def test_a_step_has_the_bits_of_pytorchs_own_optimiser():
    rng = torch.Generator().manual_seed(5)
    ours, theirs = (torch.nn.Parameter(torch.arange(1000.0) / 1000) for _ in range(2))
    mine = FusedAdam.start(ours, learning_rate=3e-3, weight_decay=1e-4)
    with pytest.raises(ValueError, match="weights: found no gradient"):
        mine.step()
    reference = torch.optim.Adam([theirs], lr=3e-3, weight_decay=1e-4, fused=True)
    for step in range(20):
        ours.grad = torch.randn(1000, generator=rng)
        theirs.grad = ours.grad.clone()
        mine.learning_rate = reference.param_groups[0]["lr"] = 3e-3 / (1 + step)
        mine.step()
        reference.step()
        assert torch.equal(ours, theirs)
    assert (ours - torch.arange(1000.0) / 1000).abs().max() > 3e-3
    assert {key: t.shape for key, t in mine.memory.items()} == {k: t.shape for k, t in reference.state[theirs].items()}


@pytest.mark.medium
def test_a_training_does_not_import_pytorchs_compiler():
    """That took as long as the training of a small network."""
    code = """
import sys
from croupier.models.bayesian.neural_linear import NeuralLinear
from croupier.models.simulation.synthetic import LinearWorld
NeuralLinear(epochs=1).learn([LinearWorld.make(4).log(100, 1)], seed=3)
print("torch" in sys.modules, "torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"
