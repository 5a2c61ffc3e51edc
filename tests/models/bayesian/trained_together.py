"""Trainings by several processes, for tests: examples of a wide network, and workers that die."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import distributed

from croupier.models.bayesian.networks.checkpoint import Progress
from croupier.models.bayesian.networks.network import Network, Training, fit
from croupier.models.bayesian.networks.parallel import CHECKPOINT, fit_together, train_share
from croupier.models.simulation.synthetic import LinearWorld

WORLD = LinearWorld.make(4, d_u=8, d_a=6, d_p=4)
LOG = [WORLD.log(700, 1), WORLD.log(533, 2)]  # chunks, and mini-batches, that two processes cannot halve
ROWS = 1233
MARKED = 123.0
WIDE = (1000, 1000)  # 1,020,001 weights, of 18 inputs
HOW = Training(epochs=4, patience=9, batch_size=97, epoch_steps=0, learning_rate=1e-3, weight_decay=0.0, holdout=0.2)


def examples(chunk):
    """Inputs, targets, and which output each row is of."""
    from croupier.models.bayesian.neural_linear import chosen_features

    return chosen_features(chunk), chunk.reward.astype(np.float32), np.zeros(len(chunk), np.int64)


def network(hidden, dropout=0.0):
    return Network.starting((8, 6, 4), hidden, 1, seed=5, dropout=dropout, state={}, device="cpu")


def weights(net):
    return torch.cat([w.detach().reshape(-1) for w in net.parameters()]).numpy().astype(np.float64)


def alone(hidden, dropout=0.0):
    """(the network, its errors) of one process."""
    net = network(hidden, dropout)
    return net, fit(net, LOG, examples, rows=ROWS, how=HOW, device="cpu", seed=(1, 2))


def together(engine, hidden, dropout=0.0, checkpoint=None):
    """(the network, its errors) of two processes."""
    net = network(hidden, dropout)
    errors = fit_together(
        net, LOG, examples, engine=engine, workers=2, checkpoint=checkpoint, seed=(1, 2), rows=ROWS, how=HOW
    )
    return net, errors


def killed_once(job):
    """`train_share`, of which the second process is killed when the first epoch is kept. When all are started again, the
    first one writes MARKED into what was kept of the first epoch: a training that goes on from it says so."""
    mark = Path(job["folder"]).parent / "killed"
    first = distributed.get_rank() == 0 if distributed.is_initialized() else os.environ["RANK"] == "0"
    if first and mark.exists():
        _mark(Path(job["folder"]) / CHECKPOINT)
    if not first and not mark.exists():
        _dies_after_an_epoch(Path(job["folder"]) / CHECKPOINT, mark)
    train_share(job)


def _mark(kept):
    with safe_open(kept, "np") as file:
        facts, arrays = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    errors = [MARKED, *json.loads(facts["errors"])[1:]]
    save_file(arrays, kept, metadata=facts | {"errors": json.dumps(errors)})


def _dies_after_an_epoch(kept, mark):
    """In the thread that trains, which goes no step on meanwhile: a thread beside it, on a busy machine, killed a training
    that was over."""

    def after(_progress, _error):
        while not kept.exists():
            time.sleep(0.001)
        mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)

    Progress.after = after


def fails(job):
    """What cannot be trained."""
    raise ValueError(f"no training in {job['folder']}")
