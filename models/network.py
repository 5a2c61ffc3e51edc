"""The torch network under neural-linear: [context; arm; pair] → φ, trained to predict the standardised reward."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from features.batch import F32, Batch, Interactions

BLOCK = 32  # rows a product is computed at once
BOUND = 1e4  # inputs beyond ±BOUND are clipped: standardised features never are, outliers stay finite


def product(x: Tensor, w: Tensor) -> Tensor:
    """(n, i) @ (i, o) in products of one fixed shape, so that a row's result has the same bits in any batch."""
    n, blocks = len(x), -(-len(x) // BLOCK)
    padded = x.new_zeros(blocks * BLOCK, x.shape[1])
    padded[:n] = x
    out = torch.bmm(padded.view(blocks, BLOCK, -1), w.expand(blocks, -1, -1))
    return out.reshape(blocks * BLOCK, -1)[:n]


def tensor(x: F32, device: str) -> Tensor:
    return torch.from_numpy(np.clip(x, -BOUND, BOUND, dtype=np.float32)).to(device)


def _linear(i: int, o: int, generator: torch.Generator) -> nn.Linear:
    """nn.Linear with torch's own initial law, U(±1/√i), but from a generator of ours: no global randomness."""
    layer = nn.Linear(i, o, device="meta").to_empty(device="cpu")
    bound = max(i, 1) ** -0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


@contextmanager
def one_thread() -> Iterator[None]:
    """Small products gain nothing from threads, and sums in one order give the same bytes everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Network(nn.Module):
    """ReLU layers of the given widths, then one linear output for training; φ is [last layer; 1]."""

    def __init__(self, sizes: tuple[int, int, int], hidden: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        widths = (sum(sizes), *hidden)
        self.layers = nn.ModuleList(_linear(i, o, generator) for i, o in pairwise(widths))
        self.out = _linear(widths[-1], 1, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) → φ without its constant (n, h)."""
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x

    def arm_share(self, arms: Tensor) -> Tensor:
        """(A, width): the arm's share of the first layer, computed once per catalogue."""
        d_u, d_a, _ = self.sizes
        first = cast("nn.Linear", self.layers[0])
        return product(arms, first.weight[:, d_u : d_u + d_a].T) + first.bias

    def phi(self, batch: Batch, arm_share: Tensor, device: str) -> Tensor:
        """φ (n, h + 1) of every candidate, in the order of `batch.mask`."""
        d_u, d_a, d_p = self.sizes
        first = cast("nn.Linear", self.layers[0]).weight
        context = product(tensor(batch.context, device), first[:, :d_u].T)
        row, position = np.nonzero(batch.mask)
        x = context[torch.from_numpy(row).to(device)]
        x = x + arm_share[torch.from_numpy(batch.arm[row, position]).to(device)]
        if d_p:
            x = x + product(tensor(batch.pair[row, position], device), first[:, d_u + d_a :].T)
        x = torch.relu(x)
        for layer in cast("list[nn.Linear]", list(self.layers)[1:]):
            x = torch.relu(product(x, layer.weight.T) + layer.bias)
        return torch.cat([x, x.new_ones(len(x), 1)], dim=1)


def chosen_features(chunk: Interactions) -> F32:
    """(n, d_u + d_a + d_p): what the chosen arm looked like."""
    rows, batch = np.arange(len(chunk)), chunk.batch
    arm = batch.catalogue.features[batch.arm[rows, chunk.chosen]]
    return np.concatenate([batch.context, arm, batch.pair[rows, chunk.chosen]], axis=1, dtype=np.float32)


def fit(
    network: Network, log: Iterable[Interactions], standardise: Callable[[Interactions], F32], *, train_rows: int,
    epochs: int, patience: int, batch_size: int, learning_rate: float, device: str, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Adam on the squared error of the earliest `train_rows`, stopping after `patience` epochs without a better error
    on the later rows, and keeping the best weights. Mini-batches are shuffled within a chunk."""
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    best, best_state, worse = np.inf, {}, 0
    for _ in range(epochs):
        network.train()
        for x, y, w in _batches(_part(log, train_rows, early=True), standardise, batch_size, device, rng):
            optimiser.zero_grad(set_to_none=True)
            (w * (network.out(network(x))[:, 0] - y) ** 2).mean().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
        error = _error(network, _part(log, train_rows, early=False), standardise, device)
        if error < best:
            best, worse = error, 0
            best_state = {key: value.clone() for key, value in network.state_dict().items()}
        else:
            worse += 1
        if worse >= patience:
            break
    if best_state:
        network.load_state_dict(best_state)
    network.eval()


def _part(log: Iterable[Interactions], train_rows: int, *, early: bool) -> Iterator[Interactions]:
    seen = 0
    for chunk in log:
        cut = min(max(train_rows - seen, 0), len(chunk))
        part = chunk[slice(0, cut)] if early else chunk[slice(cut, None)]
        seen += len(chunk)
        if len(part):
            yield part


def _batches(
    log: Iterable[Interactions], standardise: Callable[[Interactions], F32], size: int, device: str,
    rng: np.random.Generator | None,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:  # fmt: skip
    for chunk in log:
        x, y, w = (tensor(chosen_features(chunk), device), torch.from_numpy(standardise(chunk)).to(device),
                   torch.from_numpy(chunk.weight.astype(np.float32)).to(device))  # fmt: skip
        order = torch.from_numpy(np.arange(len(chunk)) if rng is None else rng.permutation(len(chunk))).to(device)
        for rows in torch.split(order, size):
            yield x[rows], y[rows], w[rows]


@torch.no_grad()
def _error(
    network: Network, log: Iterable[Interactions], standardise: Callable[[Interactions], F32], device: str
) -> float:
    """Weighted mean squared error; infinite without rows, so that training without a hold-out runs all its epochs."""
    network.eval()
    total = rows = 0.0
    for x, y, w in _batches(log, standardise, 8192, device, None):
        total += float((w * (network.out(network(x))[:, 0] - y) ** 2).sum())
        rows += float(w.sum())
    return total / rows if rows else np.inf
