"""A wide network trained by two processes over gloo: the curve of one, and a killed process that goes on."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import psutil
import pytest
import torch

from croupier.features.engines.engine import LocalEngine
from croupier.models.bayesian.networks.parallel import CHECKPOINT, train_share
from croupier.models.bayesian.networks.share import Share
from croupier.models.bayesian.neural_linear import NeuralLinear
from tests.models.bayesian import trained_together as made

torch.set_num_threads(1)
TOLERANCE = 1e-4  # of the error after each epoch, relative: float32 gradients are added in another order


@dataclass(frozen=True)
class KilledOnce(LocalEngine):
    """An engine on which a process of each training is killed once."""

    def together(self, function, job, *, workers, folder):
        """Calls `killed_once` in the place of the training that it calls."""
        assert function is train_share
        super().together(made.killed_once, job, workers=workers, folder=folder)


def test_shares_have_every_row_once_and_sums_of_one_are_as_they_are():
    rows = np.arange(7)
    assert sorted(np.concatenate([rows[Share(rank, 3).rows] for rank in range(3)])) == list(rows)
    assert Share().rows == slice(0, None, 1)
    assert (Share().first, Share(1, 2).first) == (True, False)
    seen, sums = torch.tensor([True, False]), torch.tensor([1.5, 2.0])
    Share().either(seen)
    Share().add(sums)
    assert (seen.tolist(), sums.tolist()) == ([True, False], [1.5, 2.0])


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one_on_a_million_weights():
    one, errors = made.alone(made.WIDE)
    two, found = made.together(LocalEngine(), made.WIDE)
    assert made.weights(one).size > 1_000_000
    assert len(errors) == made.HOW.epochs
    assert found == pytest.approx(errors, rel=TOLERANCE)
    assert np.abs(np.diff(errors)).min() > 10 * TOLERANCE * errors[0]  # the curve moves by more than that
    far = np.linalg.norm(made.weights(two) - made.weights(one)) / np.linalg.norm(made.weights(one))
    assert far < 1e-3
    assert (two.seen == one.seen).all()


@pytest.mark.slow
def test_a_killed_process_goes_on_from_the_checkpoint_to_the_same_bytes(tmp_path):
    """With dropout, whose draws are those of whole mini-batches."""
    whole, errors = made.together(LocalEngine(), (40,), dropout=0.2)
    alone, curve = made.alone((40,), dropout=0.2)
    assert errors == pytest.approx(curve, rel=TOLERANCE)
    found, again = made.together(KilledOnce(), (40,), dropout=0.2, checkpoint=tmp_path / "training")
    assert (tmp_path / "killed").read_text().isdigit()
    assert again == [made.MARKED, *errors[1:]]  # the first epoch's is what was kept
    assert (made.weights(found) == made.weights(whole)).all()
    assert not (tmp_path / "training").exists()
    assert (made.weights(alone) != made.weights(whole)).any()


@pytest.mark.slow
def test_an_interrupted_training_leaves_no_process_behind(tmp_path):
    program = (
        "import dataclasses, pathlib, sys; from tests.models.bayesian import trained_together as made; "
        "from croupier.features.engines.engine import LocalEngine; "
        "made.HOW = dataclasses.replace(made.HOW, epochs=10**6, patience=10**6); "
        "made.together(LocalEngine(), (40,), checkpoint=pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "kept")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        while not (tmp_path / "kept" / CHECKPOINT).exists():
            assert running.poll() is None
            time.sleep(0.05)
        processes = psutil.Process(running.pid).children(recursive=True)
        assert len(processes) == 3  # torchrun, and its two
        running.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs([*processes, psutil.Process(running.pid)], timeout=120)
        assert alive == []


@pytest.mark.slow
def test_what_fails_says_what_its_processes_said(tmp_path):
    with pytest.raises(
        RuntimeError, match=r"trained_together:fails: failed in 2 processes, restarts included"
    ) as error:
        LocalEngine().together(made.fails, {"folder": "here"}, workers=2, folder=tmp_path)
    assert "ValueError: no training in here" in str(error.value)


def test_a_policy_of_several_workers_says_so_and_needs_a_cpu(tmp_path):
    assert NeuralLinear(workers=2).parameters["workers"] == 2
    assert "workers" not in NeuralLinear().parameters
    with pytest.raises(ValueError, match="found workers=0"):
        NeuralLinear(workers=0)
    with pytest.raises(ValueError, match="found no examples on this machine, expected a folder that all machines"):
        train_share({"folder": str(tmp_path)})


@pytest.mark.slow
def test_a_policy_trained_by_two_is_nearly_that_of_one_and_serves(tmp_path):
    one = NeuralLinear(hidden=(30,), epochs=3).learn(made.LOG, seed=1)
    two = NeuralLinear(hidden=(30,), epochs=3, workers=2, checkpoint=str(tmp_path / "kept")).learn(made.LOG, seed=1)
    batch = made.WORLD.requests(40, np.random.default_rng(2), ragged=True)
    assert np.abs(two.pmf(batch) - one.pmf(batch)).max() < 0.02  # votes of 256 draws
    two.save(tmp_path)
    assert (NeuralLinear.load(tmp_path).pmf(batch) == two.pmf(batch)).all()
    assert list((tmp_path / "kept").iterdir()) == []
