"""Chunks of one log as one log, whose arrays lie on disk: what `concatenate` makes, without a second copy in memory."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import I64, Batch, Catalogue, Interactions, Texts
from croupier.features.declared.segmented import SegmentedRows, joined_rows
from croupier.features.encoded.on_disk import BlocksOnDisk

FLAT = ("chosen", "reward", "propensity", "at", "unit", "weight")
OF_BATCH = ("context", "mask", "pair", "left_out", "price")  # less `arm`, whose rows are numbered anew


def gathered(chunks: Iterable[Interactions]) -> Interactions | None:
    """Returns one log of chunks of an encoded log, padded to the widest; None where there is none."""
    made = GatheredLog()
    for chunk in chunks:
        made.add(chunk)
    return made.log() if made.first is not None else None


class GatheredLog:
    """A log under way. Inline arms of a chunk come behind those of the chunks before it."""

    def __init__(self) -> None:
        self.first: Interactions | None = None
        self._columns = dict[str, BlocksOnDisk]()
        self._inline = list[Catalogue]()
        self._segmented, self._texts = list[SegmentedRows | None](), list[Texts]()

    def add(self, chunk: Interactions) -> None:
        """Appends a chunk, which has the columns of the first."""
        self.first = self.first or chunk[:0]
        batch = chunk.batch
        self._add("arm", self._renumbered(batch))
        for name in OF_BATCH:
            if (block := getattr(batch, name)) is not None:
                self._add(name, block)
        for name in ("pmf", *FLAT, *(["slate"] if chunk.slate is not None else [])):
            self._add(name, getattr(chunk, name))
        self._segmented.append(batch.segmented)
        if batch.allocation is not None:
            self._texts.append(batch.allocation)

    def _add(self, name: str, block: NDArray[Any]) -> None:
        if name not in self._columns:
            self._columns[name] = BlocksOnDisk()
        self._columns[name].add(block)

    def _renumbered(self, batch: Batch) -> I64:
        """The rows (B, K) of the catalogue of all chunks."""
        before = sum(len(known.ids) - known.size for known in self._inline)
        if batch.catalogue.published is None:
            return batch.arm
        self._inline.append(batch.catalogue)
        return np.where(batch.arm < batch.catalogue.size, batch.arm, batch.arm + before)

    def log(self) -> Interactions:
        """Returns all chunks as one log."""
        assert self.first is not None
        found = {name: column.array() for name, column in self._columns.items()}
        catalogue = self.first.batch.catalogue
        if self._inline:
            catalogue = (catalogue.published or catalogue).with_inline(
                [arm for known in self._inline for arm in known.ids[known.size :]],
                np.concatenate([known.inline_features for known in self._inline]),
            )
        blocks: dict[str, Any] = {name: found.get(name) for name in ("arm", *OF_BATCH)}
        batch = replace(
            self.first.batch,
            catalogue=catalogue,
            segmented=joined_rows(self._segmented),
            allocation=np.concatenate(self._texts) if self._texts else None,
            **blocks,
        )
        flat = {name: found[name] for name in ("pmf", *FLAT)}
        return replace(self.first, batch=batch, slate=found.get("slate"), **flat)
