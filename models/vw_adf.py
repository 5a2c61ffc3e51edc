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
from dataclasses import dataclass, replace
from io import StringIO
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
OTHER = "|Z z\n"  # an arm that was not chosen, in a namespace that nothing crosses
CONSTANT = 11650396  # VW's index of the constant feature


def tokens(prefix: str, values: F32) -> list[str]:
    """A string a row of (n, d) values: "c0:1.5 c2:-3.0 …", numbers in the fewest digits that carry a float32 exactly.
    VW drops zeros, so they may stand or not."""
    if not np.isfinite(values).all():
        bad = int(np.argwhere(~np.isfinite(values))[0, 1])
        raise ValueError(f"feature {prefix}{bad}: found NaN or infinity, expected finite numbers; encode features with "
                         "features.encoder")  # fmt: skip
    n, d = values.shape
    values = values.clip(-BOUND, BOUND)
    row, column = np.nonzero(values)
    if 2 * len(row) > n * d and n > 100:  # dense and many: polars joins whole columns
        frame = pl.DataFrame({f"{' ' if i else ''}{prefix}{i}:": values[:, i] for i in range(d)})
        parts = [part for name in frame.columns for part in (pl.lit(name), pl.col(name).cast(pl.String))]
        return frame.select(pl.concat_str(parts)).to_series().to_list()
    names = [f"{prefix}{i}:" for i in range(d)]
    cells = [names[i] + x for i, x in zip(column.tolist(), map(str, values[row, column]), strict=True)]
    ends = np.searchsorted(row, np.arange(n + 1)).tolist()
    return [" ".join(cells[i:j]) for i, j in pairwise(ends)]


def text(batch: Batch) -> str:
    """Multi-line examples to predict on, a blank line after each: the shared line, then one for each candidate."""
    row, position = np.nonzero(batch.mask)
    arms = [f"|A {arm}" for arm in tokens("a", batch.catalogue.features)]
    items = [arms[a] for a in batch.arm[row, position].tolist()]
    if batch.pair.shape[2]:
        items = [f"{item} {pair}" for item, pair in zip(items, tokens("p", batch.pair[row, position]), strict=True)]
    ends = np.searchsorted(row, np.arange(len(batch) + 1)).tolist()
    shared = tokens("c", batch.context)
    return "".join(f"shared |U {u}\n" + "\n".join(items[i:j]) + "\n\n"
                   for u, (i, j) in zip(shared, pairwise(ends), strict=True))  # fmt: skip


def write(file: TextIO, chunk: Interactions, *, low: float, high: float) -> None:
    """Append a chunk to learn from. With --cb_type mtr VW learns from the chosen arm's line and from *how many* others
    there were, so the others are written empty: the same weights to the last bit, and K times less to write and parse.
    A row's weight divides its propensity, which is how mtr weighs it."""
    if not (np.isfinite(chunk.reward).all() and np.isfinite(chunk.propensity).all() and (chunk.propensity > 0).all()):
        raise ValueError("interactions: found a non-finite reward or a propensity ≤ 0, expected neither in a log")
    batch, rows = chunk.batch, np.arange(len(chunk))
    cost = np.clip((high - chunk.reward) / (high - low), 0.0, 1.0).tolist()
    p = (chunk.propensity / chunk.weight).tolist()
    before = ((np.arange(batch.mask.shape[1]) < chunk.chosen[:, None]) & batch.mask).sum(axis=1)
    after = (batch.mask.sum(axis=1) - before - 1).tolist()
    arms = tokens("a", batch.catalogue.features)
    arm, pair = batch.arm[rows, chunk.chosen].tolist(), tokens("p", batch.pair[rows, chunk.chosen])
    columns = zip(tokens("c", batch.context), before.tolist(), cost, p, arm, pair, after, strict=True)
    file.writelines(
        f"shared |U {u}\n{OTHER * i}0:{c:.9g}:{w:.9g} |A {arms[a]} {q}\n{OTHER * j}\n"
        for u, i, c, w, a, q, j in columns
    )


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
        form = export(workspace, sizes, flags=flags, steps=rows * passes + (start.steps if start else 0))
        workspace.save(f"{folder}/trained.vw")
        workspace.finish()
        return replace(form, model=Path(folder, "trained.vw").read_bytes())


class Online:
    """A VW that stays in memory and learns row by row: for simulations, where reading its file back each time would
    take all the time. Equal to `train` on the same rows in the same order, but it keeps no model to go on from."""

    def __init__(self, flags: str, *, low: float, high: float) -> None:
        self.flags, self.low, self.high, self.steps = flags, low, high, 0
        self.workspace: Any = None

    def learn(self, chunk: Interactions) -> Bilinear:
        sizes = Sizes.of(chunk.batch)
        if self.workspace is None:
            self.workspace = vowpalwabbit.Workspace(f"{self.flags} --cb_type mtr -q UA -b {sizes.bits} --quiet")
        file = StringIO()
        write(file, chunk, low=self.low, high=self.high)
        for example in file.getvalue().strip().split("\n\n"):
            self.workspace.learn(example.split("\n"))
        self.steps += len(chunk)
        return export(self.workspace, sizes, flags=self.flags, steps=self.steps)


def _write_all(file: TextIO, log: Iterable[Interactions], *, low: float, high: float) -> tuple[int, Sizes]:
    rows, sizes = 0, None
    for chunk in log:
        write(file, chunk, low=low, high=high)
        rows, sizes = rows + len(chunk), Sizes.of(chunk.batch)
    if sizes is None:
        raise ValueError("log: found no chunk, expected at least one (it may have no rows, but names the sizes)")
    return rows, sizes


def export(workspace: Any, sizes: Sizes, *, flags: str, steps: int) -> Bilinear:
    """Read the weights out of a workspace trained under `flags`, by VW's own hashes; `model` is left empty."""
    mask = (1 << sizes.bits) - 1
    user, arm = workspace.hash_space("U"), workspace.hash_space("A")
    i_u = [workspace.hash_feature(f"c{i}", user) for i in range(sizes.context)]
    i_x = [workspace.hash_feature(f"a{i}", arm) for i in range(sizes.arm)]
    i_x += [workspace.hash_feature(f"p{i}", arm) for i in range(sizes.pair)]
    weight, used = workspace.get_weight, {space: f"--ignore_linear {space}" not in flags for space in "UA"}
    W = [[weight((FNV_PRIME * u ^ x) & mask) for x in i_x] for u in i_u]
    form = Bilinear(
        bias=weight(CONSTANT & mask), w_u=np.array([weight(u & mask) * used["U"] for u in i_u], dtype=np.float64),
        w_x=np.array([weight(x & mask) * used["A"] for x in i_x], dtype=np.float64),
        W=np.array(W, dtype=np.float64).reshape(len(i_u), len(i_x)), steps=steps, model=b"",
    )  # fmt: skip
    if not np.isfinite(form.W).all() or not np.isfinite([form.bias, *form.w_u, *form.w_x]).all():
        raise ValueError("VW: found non-finite weights after training, expected finite; lower learning_rate")
    return form
