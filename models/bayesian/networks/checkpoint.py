"""Where a training stands: weights, Adam's memory, the best so far; kept in one file, and gone on from.

All weights are views of one vector, so that clipping, a step of Adam and a copy are one operation each: for networks of
this size that halves a step.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


def one_vector(network: nn.Module) -> nn.Parameter:
    """The network's weights (and their gradients) become views of the vector returned, in the order of parameters."""
    weights = list(network.parameters())
    sizes = [w.numel() for w in weights]
    whole = nn.Parameter(torch.cat([w.detach().reshape(-1) for w in weights]))
    whole.grad = torch.zeros_like(whole)
    parts = (torch.split(vector, sizes) for vector in (whole.data, whole.grad))
    for w, values, slopes in zip(weights, *parts, strict=True):
        w.data, w.grad = values.view_as(w), slopes.view_as(w)
    return whole


@dataclass(kw_only=True)
class FusedAdam:
    """Adam on one vector of weights (Kingma & Ba 2015, "Adam", algorithm 1), by PyTorch's function and kernel: the bits
    are those of `torch.optim.Adam(fused=True)`, which imports PyTorch's compiler first, a second of processor time, and
    looks for hooks at each step. `memory`: `step` (), `exp_avg` and `exp_avg_sq` (n,), as in its checkpoints."""

    weights: nn.Parameter
    learning_rate: float
    weight_decay: float
    memory: dict[str, Tensor]

    @classmethod
    def start(cls, weights: nn.Parameter, *, learning_rate: float, weight_decay: float) -> Self:
        """Begins with an empty memory, where the weights are."""
        memory = {name: torch.zeros_like(weights.detach()) for name in ("exp_avg", "exp_avg_sq")}
        memory["step"] = torch.zeros((), device=weights.device)
        return cls(weights=weights, learning_rate=learning_rate, weight_decay=weight_decay, memory=memory)

    @property
    def gradient(self) -> Tensor:
        """Returns the gradient of the weights, (n,). Raises ValueError where they have none."""
        if self.weights.grad is None:
            raise ValueError("weights: found no gradient, expected one; call backward before a step")
        return self.weights.grad

    @torch.no_grad()
    def step(self) -> None:
        """Moves the weights by their gradient. Raises ValueError where they have none."""
        adam(
            [self.weights],
            [self.gradient],
            [self.memory["exp_avg"]],
            [self.memory["exp_avg_sq"]],
            [],
            [self.memory["step"]],
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )


@dataclass(kw_only=True)
class Progress:
    """The training of `network`: `epoch` to do next, the `best` held-out error and its weights, for how many epochs it
    has got no better, and the `errors` after each."""

    weights: nn.Parameter
    seen: Tensor
    optimiser: FusedAdam
    best_weights: Tensor
    epoch: int = 0
    best: float = float("inf")
    worse: int = 0
    errors: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, network: nn.Module, *, learning_rate: float, weight_decay: float) -> Self:
        """Begins a training: a fresh optimiser, and the network's present weights as the best so far."""
        weights = one_vector(network)
        optimiser = FusedAdam.start(weights, learning_rate=learning_rate, weight_decay=weight_decay)
        seen = network.get_buffer("seen")
        return cls(weights=weights, seen=seen, optimiser=optimiser, best_weights=weights.detach().clone())

    def after(self, error: float | None) -> None:
        """An epoch is done, with that error on what was held out (None: nothing was, the latest weights count)."""
        self.epoch += 1
        self.errors += [] if error is None else [error]
        self.worse = 0 if error is None or error < self.best else self.worse + 1
        if self.worse == 0:
            self.best = self.best if error is None else error
            self.best_weights.copy_(self.weights.detach())

    def finish(self) -> None:
        """The network has the best weights."""
        with torch.no_grad():
            self.weights.copy_(self.best_weights)

    def write(self, path: Path) -> None:
        """Writes the checkpoint whole or not at all."""
        from safetensors.torch import save_file  # here, so that scoring needs torch and numpy alone (make bench-gpu)

        memory = self.optimiser.memory
        tensors = {"weights": self.weights.detach(), "seen": self.seen, "best": self.best_weights, **memory}
        facts = {"epoch": str(self.epoch), "best": repr(self.best), "worse": str(self.worse)}
        facts["errors"] = json.dumps(self.errors)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        save_file({key: t.cpu() for key, t in tensors.items()}, beside, metadata=facts)
        beside.replace(path)

    def read(self, path: Path) -> None:
        """Stand where `write` stood. ValueError where the file is cut, or of another network."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                facts, found = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(
                f"{path}: found no whole checkpoint ({error}); delete it, and training begins anew, to the same bytes"
            ) from None
        with torch.no_grad():
            if found["weights"].shape != self.weights.shape:
                raise ValueError(
                    f"{path}: found {len(found['weights'])} weights, expected {len(self.weights)}; "
                    "it is the checkpoint of another network: delete it"
                )
            self.weights.copy_(found.pop("weights"))
            self.seen.copy_(found.pop("seen"))
            self.best_weights.copy_(found.pop("best"))
            self.optimiser.memory = {key: t.to(self.weights.device) for key, t in found.items()}
        self.epoch, self.worse, self.best = int(facts["epoch"]), int(facts["worse"]), float(facts["best"])
        self.errors = json.loads(facts.get("errors", "[]"))  # a file of an earlier version has none
