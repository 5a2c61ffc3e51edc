"""Training CB-ADF by Vowpal Wabbit's own C++ driver. The only file that imports vowpalwabbit.

A VW model with `-q UA` over a fixed schema is exactly a bilinear form, cost(u, x) = b + w_u·u + w_x·x + uᵀWx, where x
is the arm's features followed by the pair's. `train` writes a text file of encoded tokens (c0:1.5, a3:1, p2:-0.5 with
finite numbers, nothing a user typed: VW's format is an injection surface), lets VW read it, and returns the form.

A VW model file is code to VW (its header is parsed as options): one is read only to go on from, out of a policy folder
whose digests were verified.

Cost is (high − reward) / (high − low), so 0 is best and 1 worst, which is what the bake-off's flags are tuned for.
"""

import math
import re
import struct
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

from croupier.features.batch import F32, F64, I64, Batch, Interactions
from croupier.models.vw.form import BOUND, Bilinear
from croupier.models.vw.regcb import Rates

FNV_PRIME = 16777619  # VW hashes a quadratic pair as (FNV_PRIME · i_u) XOR i_x
OTHER = "|Z z\n"  # an arm that was not chosen, in a namespace that nothing crosses
CONSTANT = 11650396  # VW's index of the constant feature


def tokens(prefix: str, values: F32) -> list[str]:
    """A string a row of (n, d) values: "c0:1.5 c2:-3.0 …", numbers in the fewest digits that carry a float32 exactly.
    VW drops zeros, so they may stand or not."""
    if not np.isfinite(values).all():
        bad = int(np.argwhere(~np.isfinite(values))[0, 1])
        raise ValueError(
            f"feature {prefix}{bad}: found NaN or infinity, expected finite numbers; encode features with "
            "croupier.features.encoding.encoder"
        )
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
    return "".join(
        f"shared |U {u}\n" + "\n".join(items[i:j]) + "\n\n" for u, (i, j) in zip(shared, pairwise(ends), strict=True)
    )


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
    arm, features = batch.arm[rows, chunk.chosen], batch.catalogue.features
    if batch.catalogue.published is not None:  # inline arms: of many, those that were shown
        shown, arm = np.unique(arm, return_inverse=True)
        features = features[shown]
    arms, pair = tokens("a", features), tokens("p", batch.pair[rows, chunk.chosen])
    columns = zip(tokens("c", batch.context), before.tolist(), cost, p, arm.tolist(), pair, after, strict=True)
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
        """Returns the numbers of features of a batch."""
        return cls(batch.context.shape[1], batch.catalogue.features.shape[1], batch.pair.shape[2])

    def bits(self, members: int = 1) -> int:
        """Returns the bits of the weight table: at least 32 slots a weight, so that collisions are rare (and even they
        stay exact)."""
        terms = (1 + self.context) * (1 + self.arm + self.pair)
        return min(max(math.ceil(math.log2(32 * _width(members) * terms)), 18), 22)


def _members(flags: str) -> int:
    return int(_value("--bag", flags) or 1)


def _value(flag: str, flags: str) -> str | None:
    found = re.search(rf"{flag} (\S+)", flags)
    return found[1] if found else None


def _width(members: int) -> int:
    """Weights of a term, side by side in VW's table: a power of two."""
    return 1 << (members - 1).bit_length()


def _command(flags: str, sizes: Sizes) -> str:
    return f"{flags} --cb_type mtr -q UA -b {sizes.bits(_members(flags))} --quiet"


def train(
    log: Iterable[Interactions],
    *,
    flags: str,
    low: float,
    high: float,
    passes: int = 1,
    start: Bilinear | None = None,
) -> Bilinear:
    """Train on `log` for a number of passes; with `start`, go on from that model instead of from scratch."""
    with TemporaryDirectory(prefix="croupier-vw-") as folder:
        data, initial = Path(folder) / "log.txt", Path(folder) / "initial.vw"
        with data.open("w") as file:
            rows, sizes = _write_all(file, log, low=low, high=high)
        options = _command(flags, sizes)
        if start is not None:
            initial.write_bytes(start.model)
            options = f"-i {initial} --quiet"
        if passes > 1:
            options += f" --passes {passes} --cache_file {folder}/cache --holdout_off"
        workspace = vowpalwabbit.Workspace(f"{options} -d {data}")
        form = export(workspace, sizes, flags=flags, steps=rows * passes + (start.steps if start else 0))
        model = _saved(workspace)
        workspace.finish()
        return replace(form, model=model)


class Online:
    """A VW that stays in memory and learns row by row: for simulations, where reading its file back each time would
    take all the time. Equal to `train` on the same rows in the same order, but it keeps no model to go on from."""

    def __init__(self, flags: str, *, low: float, high: float) -> None:
        self.flags, self.low, self.high, self.steps = flags, low, high, 0
        self.workspace: Any = None

    def learn(self, chunk: Interactions) -> Bilinear:
        """Learns these interactions, in their order."""
        sizes = Sizes.of(chunk.batch)
        if self.workspace is None:
            self.workspace = vowpalwabbit.Workspace(_command(self.flags, sizes))
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
    places, members = _places(workspace, sizes, flags), _members(flags)
    used = np.ones(places.shape, dtype=bool)
    used[1:, 0], used[0, 1:] = ("--ignore_linear U" not in flags, "--ignore_linear A" not in flags)
    weights = np.stack([_read(workspace, places + member) for member in range(members)]) * used
    if not np.isfinite(weights).all():
        raise ValueError("VW: found non-finite weights after training, expected finite; lower learning_rate")
    rates = None
    if "--regcb" in flags:
        norm, weight = _normaliser(_saved(workspace), steps)
        rates = Rates(
            squares=_read(workspace, places, 1),
            scale=np.where(used, _read(workspace, places, 2), np.inf),
            norm=norm,
            weight=weight,
            learning_rate=float(_value("-l", flags) or 0.5),
        )
    return Bilinear(
        bias=weights[:, 0, 0].copy(),
        w_u=weights[:, 1:, 0].copy(),
        w_x=weights[:, 0, 1:].copy(),
        W=weights[:, 1:, 1:].copy(),
        steps=steps,
        model=b"",
        rates=rates,
    )


def _places(workspace: Any, sizes: Sizes, flags: str) -> I64:
    """Returns (1 + d_u, 1 + d_x): where VW keeps the first member of every term, the constant in the corner, linear
    terms in the first column and row; further members follow it."""
    width, members = _width(_members(flags)), _members(flags)
    user, arm = workspace.hash_space("U"), workspace.hash_space("A")
    names = [*(f"a{i}" for i in range(sizes.arm)), *(f"p{i}" for i in range(sizes.pair))]
    i_u = np.array([width * workspace.hash_feature(f"c{i}", user) for i in range(sizes.context)], dtype=np.int64)
    i_x = np.array([width * workspace.hash_feature(name, arm) for name in names], dtype=np.int64)
    linear = np.concatenate([[CONSTANT * width], i_x])
    pairs = np.column_stack([i_u, FNV_PRIME * i_u[:, None] ^ i_x])
    return np.vstack([linear, pairs]) & ((1 << sizes.bits(members)) - 1)


def _read(workspace: Any, places: I64, offset: int = 0) -> F64:
    """Weights at `places`; at offset 1 and 2, the sums of squared gradients and the scales beside them."""
    flat = [workspace.get_weight(place, offset) for place in places.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(places.shape)


def _saved(workspace: Any) -> bytes:
    with TemporaryDirectory(prefix="croupier-vw-") as folder:
        workspace.save(f"{folder}/model.vw")
        return Path(folder, "model.vw").read_bytes()


def _normaliser(model: bytes, steps: int) -> tuple[float, float]:
    """gd's normalized_sum_norm_x and total_weight, which pyvw does not show: at fixed places behind the options, after
    a checksum and the counter of RegCB's examples (VW 9.11.9), which tells whether this is the place."""
    behind = model.index(b"\0", model.index(b" --regcb")) + 1
    counter, norm, weight = struct.unpack_from("<8xQ21xd76xd", model, behind)
    if counter != steps:
        raise ValueError(f"VW: found {counter} examples in its model, expected {steps}; this reads VW 9.11.9's format")
    return norm, weight
