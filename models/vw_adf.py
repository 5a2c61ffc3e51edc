"""Training CB-ADF by Vowpal Wabbit's own C++ driver. The only file that imports vowpalwabbit.

A VW model with `-q UA` over a fixed schema is exactly a bilinear form, cost(u, x) = b + w_u·u + w_x·x + uᵀWx, where x
is the arm's features followed by the pair's. `train` writes a text file of encoded tokens (c0:1.5, a3:1, p2:-0.5 with
finite numbers, nothing a user typed: VW's format is an injection surface), lets VW read it, and returns the form.

A VW model file is code to VW (its header is parsed as options): one is read only to go on from, out of a policy folder
whose digests were verified.

Cost is (high − reward) / (high − low), so 0 is best and 1 worst, which is what the bake-off's flags are tuned for.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TextIO

import numpy as np
import polars as pl
import vowpalwabbit

from features.batch import F32, Batch, Interactions
from models.bilinear import Bilinear

BOUND = 1e6  # features beyond ±BOUND are clipped for VW, whose float32 squares overflow
FNV_PRIME = 16777619  # VW hashes a quadratic pair as (FNV_PRIME · i_u) XOR i_x
CONSTANT = 11650396  # VW's index of the constant feature


def tokens(prefix: str, values: F32) -> pl.Series:
    """A string a row of (n, d) values: "c0:1.5 c2:-3.0 …", numbers in the fewest digits that carry a float32 exactly.
    VW drops zeros, so they may stand or not."""
    if not np.isfinite(values).all():
        bad = int(np.argwhere(~np.isfinite(values))[0, 1])
        raise ValueError(f"feature {prefix}{bad}: found NaN or infinity, expected finite numbers; encode features with "
                         "features.encoder")  # fmt: skip
    n, d = values.shape
    values = values.clip(-BOUND, BOUND)
    row, column = np.nonzero(values)
    if 2 * len(row) > n * d:
        frame = pl.DataFrame({f"{' ' if i else ''}{prefix}{i}:": values[:, i] for i in range(d)})
        parts = [part for name in frame.columns for part in (pl.lit(name), pl.col(name).cast(pl.String))]
        return frame.select(pl.concat_str(parts)).to_series()
    names = [f"{prefix}{i}:" for i in range(d)]
    numbers = pl.Series(values[row, column]).cast(pl.String).to_list()
    cells = [names[i] + x for i, x in zip(column.tolist(), numbers, strict=True)]
    ends = np.searchsorted(row, np.arange(n + 1)).tolist()
    return pl.Series([" ".join(cells[i:j]) for i, j in pairwise(ends)], dtype=pl.String)


def text(batch: Batch, labels: pl.Series | None = None) -> str:
    """Multi-line examples, a blank line between: for each request the shared line, then one for each candidate.
    `labels`, one for each candidate in the order of the mask, go before its line; most are empty."""
    row, position = np.nonzero(batch.mask)
    arm = tokens("a", batch.catalogue.features)[batch.arm[row, position]]
    parts = {"label": pl.Series([""]).new_from_index(0, len(row)) if labels is None else labels, "arm": arm}
    if batch.pair.shape[2]:
        parts["pair"] = tokens("p", batch.pair[row, position])
    said = [pl.col("label"), pl.lit("|A "), *(x for name in list(parts)[1:] for x in (pl.col(name), pl.lit(" ")))]
    n = len(batch)
    lines = np.full(len(row) + 2 * n, "", dtype=object)  # a shared line before each request's own, a blank one after
    lines[np.arange(len(row)) + 1 + 2 * row] = pl.DataFrame(parts).select(pl.concat_str(said)).to_series().to_list()
    shared = (pl.lit("shared |U ") + pl.col("u")).alias("u")
    starts = np.searchsorted(row, np.arange(n)) + 2 * np.arange(n)
    lines[starts] = pl.DataFrame({"u": tokens("c", batch.context)}).select(shared).to_series().to_list()
    return "\n".join(lines.tolist())


def write(file: TextIO, chunk: Interactions, *, low: float, high: float) -> None:
    """Append a chunk in VW's text format. A row's weight divides its propensity, which is how mtr weighs it."""
    if not (np.isfinite(chunk.reward).all() and np.isfinite(chunk.propensity).all() and (chunk.propensity > 0).all()):
        raise ValueError("interactions: found a non-finite reward or a propensity ≤ 0, expected neither in a log")
    if not len(chunk):
        return
    cost = np.clip((high - chunk.reward) / (high - low), 0.0, 1.0)
    p = chunk.propensity / chunk.weight
    n, K = chunk.batch.mask.shape
    item = np.cumsum(chunk.batch.mask).reshape(n, K)[np.arange(n), chunk.chosen] - 1
    labels = np.full(int(chunk.batch.mask.sum()), "", dtype=object)
    labels[item] = [f"0:{c:.9g}:{w:.9g} " for c, w in zip(cost.tolist(), p.tolist(), strict=True)]
    file.write(text(chunk.batch, pl.Series(labels.tolist(), dtype=pl.String)) + "\n")


@dataclass(frozen=True)
class Sizes:
    """Lengths of a context, an arm's and a pair's features."""

    context: int
    arm: int
    pair: int

    @classmethod
    def of(cls, batch: Batch) -> Self:
        return cls(batch.context.shape[1], batch.catalogue.features.shape[1], batch.pair.shape[2])

    @property
    def bits(self) -> int:
        """Of the weight table: at least 32 slots a weight, so that collisions are rare (and even they stay exact)."""
        return min(max(math.ceil(math.log2(32 * (1 + self.context) * (1 + self.arm + self.pair))), 18), 22)


def train(
    log: Iterable[Interactions], *, flags: str, low: float, high: float, passes: int = 1, start: Bilinear | None = None,
) -> Bilinear:  # fmt: skip
    """Train on `log` for a number of passes; with `start`, go on from that model instead of from scratch."""
    with TemporaryDirectory(prefix="croupier-vw-") as folder:
        data, initial = Path(folder) / "log.txt", Path(folder) / "initial.vw"
        with data.open("w") as file:
            rows, sizes = _write_all(file, log, low=low, high=high)
        options = f"{flags} --cb_type mtr -q UA -b {sizes.bits}"
        if start is not None:
            initial.write_bytes(start.model)
            options = f"-i {initial}"
        if passes > 1:
            options += f" --passes {passes} --cache_file {folder}/cache --holdout_off"
        workspace = vowpalwabbit.Workspace(f"{options} -d {data} --quiet")
        return export(workspace, sizes, flags=flags, steps=rows * passes + (start.steps if start else 0))


def _write_all(file: TextIO, log: Iterable[Interactions], *, low: float, high: float) -> tuple[int, Sizes]:
    rows, sizes = 0, None
    for chunk in log:
        write(file, chunk, low=low, high=high)
        rows, sizes = rows + len(chunk), Sizes.of(chunk.batch)
    if sizes is None:
        raise ValueError("log: found no chunk, expected at least one (it may have no rows, but names the sizes)")
    return rows, sizes


def export(workspace: Any, sizes: Sizes, *, flags: str, steps: int) -> Bilinear:
    """Read the weights out of a workspace trained under `flags`, by VW's own hashes, and finish it."""
    mask = (1 << sizes.bits) - 1
    user, arm = workspace.hash_space("U"), workspace.hash_space("A")
    i_u = [workspace.hash_feature(f"c{i}", user) for i in range(sizes.context)]
    i_x = [workspace.hash_feature(f"a{i}", arm) for i in range(sizes.arm)]
    i_x += [workspace.hash_feature(f"p{i}", arm) for i in range(sizes.pair)]
    weight, used = workspace.get_weight, {space: f"--ignore_linear {space}" not in flags for space in "UA"}
    W = [[weight((FNV_PRIME * u ^ x) & mask) for x in i_x] for u in i_u]
    with TemporaryDirectory(prefix="croupier-vw-") as folder:
        workspace.save(f"{folder}/model.vw")
        workspace.finish()
        model = Path(folder, "model.vw").read_bytes()
    form = Bilinear(
        bias=weight(CONSTANT & mask), w_u=np.array([weight(u & mask) * used["U"] for u in i_u], dtype=np.float64),
        w_x=np.array([weight(x & mask) * used["A"] for x in i_x], dtype=np.float64),
        W=np.array(W, dtype=np.float64).reshape(len(i_u), len(i_x)), steps=steps, model=model,
    )  # fmt: skip
    if not np.isfinite(form.W).all() or not np.isfinite([form.bias, *form.w_u, *form.w_x]).all():
        raise ValueError("VW: found non-finite weights after training, expected finite; lower learning_rate")
    return form
