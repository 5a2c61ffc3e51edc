"""The labels by which the gate's report splits: the context's categories, and who decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from croupier.features.encoded.frame_file import FrameFile
from croupier.features.encoded.on_disk import BlocksOnDisk, blocks
from croupier.features.spec import AppSpec

MOST_SEGMENTS = 12  # of one feature: a report with more is not read
DECIDING = ("policy", "role", "release")


class SegmentLabels(FrameFile):
    """Labels of rows that come in parts, in the order of the encoded rows. Those with too many values are left out."""

    def __init__(self, spec: AppSpec, path: Path) -> None:
        super().__init__(path)
        self._names = [name for name, feature in spec.context.items() if feature.type == "categorical"]
        self._seen = {name: set[str]() for name in (*self._names, *(f"deciding {name}" for name in DECIDING))}

    def add(self, frame: pl.DataFrame) -> None:
        """Appends the labels of these interactions (arrow.INTERACTIONS)."""
        contexts = [orjson.loads(text) for text in frame["context"]]
        labels = {name: [str(c.get(name, "")) for c in contexts] for name in self._names}
        labels |= {f"deciding {name}": frame[name].cast(pl.String).to_list() for name in DECIDING}
        for name, found in labels.items():
            self._seen[name] |= set(found) if len(self._seen[name]) <= MOST_SEGMENTS else set()
        kept = {n: v if len(self._seen[n]) <= MOST_SEGMENTS else [""] * len(frame) for n, v in labels.items()}
        super().add(pl.DataFrame({"at": frame["at"]} | kept, schema_overrides=dict.fromkeys(kept, pl.String)))

    def select(self, path: Path) -> None:
        """Writes to another file, once this one is closed, the labels that split: of few values, and of who decided
        only what was not always the same."""
        few = [name for name, values in self._seen.items() if len(values) <= MOST_SEGMENTS]
        kept = [name for name in few if not name.startswith("deciding ") or len(self._seen[name]) > 1]
        pl.scan_parquet(self.path).select("at", *kept).sink_parquet(path)


@dataclass(frozen=True, kw_only=True, eq=False)
class RowLabels:
    """Labels of n rows: the distinct ones, as they came, and which of them each row has, (n,), on disk."""

    distinct: tuple[str, ...]
    place: NDArray[np.uint32]

    @classmethod
    def of(cls, labels: "RowLabels | Sequence[str] | pl.Series") -> "RowLabels":
        """Takes a label a row."""
        if isinstance(labels, RowLabels):
            return labels
        texts = labels if isinstance(labels, pl.Series) else pl.Series(labels, dtype=pl.String)
        return cls.of_parts(texts[rows] for rows in blocks(len(texts)))

    @classmethod
    def of_parts(cls, parts: Iterable[pl.Series]) -> Self:
        """Takes a label a row, some rows at a time."""
        seen, found = dict[str, int](), BlocksOnDisk()
        for part in parts:
            texts = part.cast(pl.String)
            for text in texts.unique(maintain_order=True).to_list():
                seen.setdefault(text, len(seen))
            found.add(texts.replace_strict(seen, return_dtype=pl.UInt32).to_numpy())
        return cls(distinct=tuple(seen), place=found.array())

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        return type(self)(distinct=self.distinct, place=self.place[rows])
