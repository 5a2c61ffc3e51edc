"""Arrays of a device: numpy's on the CPU, torch's on a GPU. What scores is written once, in what both can do.

On the CPU numpy takes a few microseconds where torch takes tens, for arrays as small as those of one decision; and a
process that serves there never imports torch, which would be most of its memory.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F32

Array = Any  # numpy's or torch's: no type says what both can do
ROWS, ROWS_OF_A_GPU = 4, 128  # of a product that is computed at once
ALONE = 1 << 18  # multiplications up to which OpenBLAS computes a product in one thread, whatever it is allowed
MANY = 1 << 15  # booleans from which they are counted by words
LOW_BYTES, LOW_BITS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)  # of each 16 bits
BOUND = 1e4  # features beyond ±BOUND are clipped: standardised ones never are, outliers stay finite


def of(x: Array) -> Any:
    """Returns the module that `x` is of: numpy, or torch."""
    if isinstance(x, np.ndarray):
        return np
    import torch

    return torch


def on(x: NDArray[Any], device: str) -> Array:
    """Returns `x` on the device: itself on "cpu"; "cpu:0" is torch's own on the same."""
    if device == "cpu":
        return x
    import torch

    return torch.from_numpy(np.ascontiguousarray(x)).to(device)


def beside(x: NDArray[Any], other: Array) -> Array:
    """Returns `x` on the device of `other`."""
    return x if isinstance(other, np.ndarray) else of(other).from_numpy(np.ascontiguousarray(x)).to(other.device)


def bounded(x: F32, device: str) -> Array:
    """Returns features as float32 on the device, within ±BOUND."""
    return on(np.minimum(np.maximum(x, -BOUND), BOUND).astype(np.float32, copy=False), device)


def host(x: Array) -> NDArray[Any]:
    """Returns `x` as an array of numpy."""
    return x if isinstance(x, np.ndarray) else np.asarray(x.detach().cpu().numpy())


def double(x: Array) -> Array:
    """Returns `x` in float64."""
    return x.astype(np.float64) if isinstance(x, np.ndarray) else x.double()


def best(x: Array) -> Array:
    """Returns the greatest of each row and draw, (B, S) of (B, K, S)."""
    return np.maximum.reduce(x, 1) if isinstance(x, np.ndarray) else x.amax(1)


def positive(x: Array) -> Array:
    """Returns `x`, overwritten, with 0 where it is below."""
    return np.maximum(x, 0.0, out=x) if isinstance(x, np.ndarray) else x.clamp_(min=0.0)


def total(x: Array) -> Array:
    """Returns how many of a row (..., S) of booleans are true, (...)."""
    if not isinstance(x, np.ndarray):
        return x.sum(-1)
    wide = x.shape[-1] % 8 == 0 and x.shape[-1] <= 8 * 255 and x.flags.c_contiguous
    return _by_words(x) if wide and x.size >= MANY else np.add.reduce(x.view(np.uint8), -1, dtype=np.int32)


def _by_words(x: NDArray[np.bool_]) -> NDArray[Any]:
    """As `total`, a third of its time: eight booleans are added as one number of 64 bits, which has room for a count of
    255 in each of its bytes. The bytes are then added in pairs, and the pairs by a product whose top 16 bits have the
    sum."""
    words = np.einsum("...s->...", x.view(np.uint64))
    pairs = (words & LOW_BYTES) + (words >> np.uint64(8) & LOW_BYTES)
    found: NDArray[Any] = pairs * LOW_BITS >> np.uint64(48)
    return found


def product(x: Array, w: Array) -> Array:
    """Returns x @ w, (n, i) @ (i, o) or (B, n, i) @ (B, i, o), in products of one fixed shape, so that a row's result
    has the same bits in any batch."""
    return _of_numpy(x, w) if isinstance(x, np.ndarray) else _of_torch(x, w)


def _of_numpy(x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    n, i, o = x.shape[-2], *w.shape[-2:]
    if short := -n % ROWS:
        x = np.concatenate([x, np.zeros((*x.shape[:-2], short, i), x.dtype)], axis=-2)
    blocks, wide = x.reshape(*x.shape[:-2], x.shape[-2] // ROWS, ROWS, i), max(1, ALONE // (ROWS * max(i, 1)))
    w = w if w.ndim == 2 else w[:, None]
    if o <= wide:
        out = np.matmul(blocks, w)
    else:
        out = np.empty((*blocks.shape[:-1], o), x.dtype)
        for begin in range(0, o, wide):
            np.matmul(blocks, w[..., begin : begin + wide], out=out[..., begin : begin + wide])
    found: NDArray[Any] = out.reshape(*x.shape[:-1], o)
    return found[..., :n, :] if short else found


def _of_torch(x: Array, w: Array) -> Array:
    import torch

    (*first, n, i), o = x.shape, w.shape[-1]
    blocks = -(-n // ROWS_OF_A_GPU)
    if n < blocks * ROWS_OF_A_GPU:
        x = torch.cat([x, x.new_zeros(*first, blocks * ROWS_OF_A_GPU - n, i)], dim=-2)
    many = w[..., None, :, :].expand(*first, blocks, i, o).reshape(-1, i, o)
    return torch.bmm(x.reshape(-1, ROWS_OF_A_GPU, i), many).view(*first, blocks * ROWS_OF_A_GPU, o)[..., :n, :]
