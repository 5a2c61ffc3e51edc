"""Which rows of each mini-batch this process computes, where several train one network, and sums over all of them.

All of them read the same rows in the same order, and every one ends a step with the same weights: data-parallel
training with synchronous steps (Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel
Training"). The gradient of a network is one vector here (checkpoint.py), so they exchange one all-reduce a step.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Share:
    """This process's part: the `rank`-th of `of`."""

    rank: int = 0
    of: int = 1

    @classmethod
    def joined(cls) -> Self:
        """The part of a process that several were started with, by torchrun or Ray Train: they form a group over gloo,
        unless they are one already."""
        if not distributed.is_initialized():
            distributed.init_process_group("gloo")
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def first(self) -> bool:
        """True for the one process that writes what all have come to."""
        return self.rank == 0

    @property
    def rows(self) -> slice:
        """Which rows of a mini-batch are this process's."""
        return slice(self.rank, None, self.of)

    def add(self, here: Tensor) -> None:
        """Puts the sum over all processes in the place of this one's tensor."""
        if self.of > 1:
            distributed.all_reduce(here)

    def either(self, here: Tensor) -> None:
        """Sets each entry (n,) of a tensor of truth values that any process has set."""
        counts = here.to(torch.int32)
        self.add(counts)
        here.copy_(counts > 0)


ALONE = Share()
