"""The training of the network under neural-linear: [context; arm; pair] → φ, to predict the standardised reward."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from croupier.features.batch import F32, F64, I64
from croupier.models.bayesian.arrays import bounded
from croupier.models.bayesian.networks.checkpoint import FusedAdam, Progress
from croupier.models.bayesian.networks.share import ALONE, Share
from croupier.models.bayesian.threads import one_thread

LARGEST_BATCH = 2048  # a mini-batch that grows with the log ends here


def _linear(i: int, o: int, generator: torch.Generator) -> nn.Linear:
    """nn.Linear with torch's own initial law, U(±1/√i), but from a generator of ours: no global randomness."""
    layer = nn.Linear(i, o, device="meta").to_empty(device="cpu")
    bound = max(i, 1) ** -0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


class Network(nn.Module):
    """ReLU layers of the given widths, then linear outputs for training only; φ is [last layer; 1]. `sizes` are the
    lengths of context, arm and pair features that it reads."""

    def __init__(
        self, sizes: tuple[int, int, int], hidden: tuple[int, ...], outputs: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.sizes, self.dropout = sizes, 0.0
        widths = (sum(sizes), *hidden)
        self.layers = nn.ModuleList(_linear(i, o, generator) for i, o in pairwise(widths))
        self.out = _linear(widths[-1], outputs, generator)
        self.seen: Tensor  # (d,) inputs that were ever other than 0 in training, kept through warm starts
        self.register_buffer("seen", torch.zeros(widths[0], dtype=torch.bool))

    @classmethod
    def starting(
        cls,
        sizes: tuple[int, int, int],
        hidden: tuple[int, ...],
        outputs: int,
        *,
        seed: int,
        dropout: float,
        state: Mapping[str, F32],
        device: str,
    ) -> Self:
        """Where a training begins: at the `state` of an earlier one where that has the same sizes, else at random."""
        network = cls(sizes, hidden, outputs, torch.Generator().manual_seed(seed))
        own = network.state_dict()
        if state and {key: a.shape for key, a in state.items()} == {key: tuple(t.shape) for key, t in own.items()}:
            network.take(state)
        network.dropout = dropout
        return network.to(device)

    def take(self, state: Mapping[str, F32]) -> None:
        """Goes to the weights of a state, which has the same sizes."""
        self.load_state_dict({key: torch.from_numpy(a.copy()) for key, a in state.items()})

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, d) to φ without its constant (n, h)."""
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


@dataclass(frozen=True, kw_only=True)
class Training:
    """How `fit` trains: Adam, its rate falling to a tenth by a cosine, early stopping on the latest rows.

    An epoch takes about `epoch_steps` steps at most (0: as many as there are): on more rows the mini-batches are larger
    than `batch_size`, and the rate with the square root of that, which leaves the noise of a step as it was (Malladi,
    Lyu, Panigrahi & Arora 2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms")."""

    epochs: int
    patience: int
    batch_size: int
    epoch_steps: int
    learning_rate: float
    weight_decay: float
    holdout: float
    precision: str = "float32"  # or "bfloat16": products in half the width, weights and sums stay float32

    def for_rows(self, rows: int) -> "Training":
        """This training, with the mini-batches and the rate that so many rows ask for."""
        asked = min(LARGEST_BATCH, -(-rows // self.epoch_steps)) if self.epoch_steps else 0
        size = max(self.batch_size, asked)
        return replace(self, batch_size=size, learning_rate=self.learning_rate * math.sqrt(size / self.batch_size))


class LearntRows(Protocol):
    """A chunk of what is learnt: interactions, or examples made of them; `weight` (n,)."""

    @property
    def weight(self) -> F64 | F32:
        """How often each row counts."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Self: ...


Examples = Callable[[Any], tuple[F32, F32, I64]]  # chunk → inputs (n, d), targets (n,), which output (n,)


@one_thread()
def fit(
    network: Network,
    log: Iterable[LearntRows],
    examples: Examples,
    *,
    rows: int,
    how: Training,
    device: str,
    seed: tuple[int, ...],
    checkpoint: Path | None = None,
    share: Share = ALONE,
) -> list[float]:
    """Minimise the squared error of the output of the arm shown. The latest `holdout` share of the `rows` is not
    trained on: after `patience` epochs without a better error there, training stops, and the best weights are kept.
    Mini-batches are shuffled within a chunk.

    An epoch's randomness is that of `seed` and its number. So a training that died and goes on from its `checkpoint`,
    a file written after every epoch and gone at the end, has the bytes of one that never did. Where several processes
    train, `share` is this one's, and all of them come to the same weights.

    Returns the error on what was held out after each epoch."""
    from tqdm import tqdm

    cut = rows - int(rows * how.holdout)
    how = how.for_rows(cut)
    progress = Progress.start(network, learning_rate=how.learning_rate, weight_decay=how.weight_decay)
    if checkpoint is not None and checkpoint.exists():
        progress.read(checkpoint)
    todo = range(progress.epoch, how.epochs)
    for epoch in tqdm(todo, desc="epochs", initial=progress.epoch, total=how.epochs, disable=None, leave=False):
        if progress.worse >= how.patience:
            break
        _epoch(
            network,
            _part(log, cut, early=True),
            examples,
            how=how,
            optimiser=progress.optimiser,
            device=device,
            seed=(*seed, epoch),
            share=share,
        )
        error = _error(network, _part(log, cut, early=False), examples, device, share) if cut < rows else None
        progress.after(error)
        if checkpoint is not None and share.first:
            progress.write(checkpoint)
    progress.finish()
    if checkpoint is not None and share.first:
        checkpoint.unlink(missing_ok=True)
    _silence_unseen(network)
    network.eval()
    return progress.errors


def _silence_unseen(network: Network) -> None:
    """A column that was always 0 (`<unk>`) never moved from its random start: it says nothing."""
    with torch.no_grad():
        cast("nn.Linear", network.layers[0]).weight[:, ~network.seen] = 0.0


def _epoch(
    network: Network,
    log: Iterable[LearntRows],
    examples: Examples,
    *,
    how: Training,
    optimiser: FusedAdam,
    device: str,
    seed: tuple[int, ...],
    share: Share,
) -> None:
    """One pass over the log. The rate falls by a cosine to a tenth in the last epoch."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    network.train()
    optimiser.learning_rate = how.learning_rate * (0.55 + 0.45 * math.cos(math.pi * seed[-1] / how.epochs))
    narrow = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=how.precision == "bfloat16")
    for n, (x, y, w, output) in _batches(log, examples, how.batch_size, device, rng, share=share):
        if seed[-1] == 0:  # the first epoch sees every row
            network.seen.logical_or_((x != 0).any(dim=0))
        optimiser.gradient.zero_()
        with narrow:
            kept = _kept(network, n, generator)[share.rows] if network.dropout else None
            loss = _loss(network, x, y, w, output, kept=kept).sum() / n
        torch.autograd.backward(loss)
        share.add(optimiser.gradient)
        nn.utils.clip_grad_norm_([optimiser.weights], 5.0)
        optimiser.step()
    if seed[-1] == 0:
        share.either(network.seen)


def _kept(network: Network, n: int, generator: torch.Generator) -> Tensor:
    """(n, h) which entries of φ a mini-batch keeps, drawn for all of its rows, whoever computes them."""
    drawn = torch.rand((n, network.out.in_features), generator=generator, device=generator.device)
    return drawn >= network.dropout


def _loss(network: Network, x: Tensor, y: Tensor, w: Tensor, output: Tensor, *, kept: Tensor | None = None) -> Tensor:
    """Weighted squared errors; dropout falls on the last layer while training, whose `kept` entries (n, h) are left."""
    phi: Tensor = network(x)
    if kept is not None:
        phi = phi * kept / (1 - network.dropout)
    predicted: Tensor = network.out(phi)
    one = predicted[:, 0] if predicted.shape[1] == 1 else predicted.gather(1, output[:, None])[:, 0]
    return w * (one.float() - y) ** 2


def _part(log: Iterable[LearntRows], cut: int, *, early: bool) -> Iterator[LearntRows]:
    """The rows before `cut`, or from it on."""
    seen = 0
    for chunk in log:
        here = min(max(cut - seen, 0), len(chunk))
        part = chunk[slice(0, here)] if early else chunk[slice(here, None)]
        seen += len(chunk)
        if len(part):
            yield part


def _batches(
    log: Iterable[LearntRows],
    examples: Examples,
    size: int,
    device: str,
    rng: np.random.Generator | None,
    *,
    share: Share,
) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    """Yields of each mini-batch how many rows it has, and this process's share of them: inputs, targets, weights, which
    output."""
    for chunk in log:
        x, y, output = examples(chunk)
        rest = (y, chunk.weight.astype(np.float32), output)
        arrays = [torch.as_tensor(bounded(x, device)), *(torch.from_numpy(a).to(device) for a in rest)]
        whole = [min(size, len(chunk) - first) for first in range(0, len(chunk), size)]
        mine = [len(range(n)[share.rows]) for n in whole]
        order = np.arange(len(chunk)) if rng is None else rng.permutation(len(chunk))
        if share.of > 1:
            order = np.concatenate([order[first : first + size][share.rows] for first in range(0, len(chunk), size)])
        if rng is not None or share.of > 1:
            own = torch.from_numpy(order).to(device)
            arrays = [array[own] for array in arrays]
        yield from zip(whole, zip(*(torch.split(array, mine) for array in arrays), strict=True), strict=True)


@torch.no_grad()
def _error(network: Network, log: Iterable[LearntRows], examples: Examples, device: str, share: Share) -> float:
    """Weighted mean squared error."""
    network.eval()
    total = weights = 0.0
    for _, (x, y, w, output) in _batches(log, examples, 8192, device, None, share=share):
        total += float(_loss(network, x, y, w, output).sum())
        weights += float(w.sum())
    sums = torch.tensor([total, weights], dtype=torch.float64)
    share.add(sums)
    total, weights = sums.tolist()
    return total / weights if weights else np.inf
