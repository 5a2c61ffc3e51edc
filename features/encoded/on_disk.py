"""Arrays that lie in files without a name, mapped: whoever goes through one block by block holds no more than a block.

A file has no name from the start on, and is gone with the last array that looks into it, however a process ends. It
lies in the folder of temporary files (TMPDIR), which should be on a disk. What was looked at is given back to the
system after each block: it stays in the system's cache of the disk while there is room, and is not this process's.
"""

import os
import tempfile
from collections.abc import Iterator
from math import prod
from mmap import MADV_DONTNEED, mmap
from typing import IO, Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

SMALL = 1 << 20  # bytes, up to which an array stays in memory
BLOCK = 65_536  # rows that are looked at together
_MAPPED = WeakSet[mmap]()


def blocks(n: int, rows: int = 0) -> Iterator[slice]:
    """Yields the rows of n, BLOCK or `rows` at a time: what is computed of each by itself needs no memory for all."""
    step = rows or BLOCK
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
        _give_back()


def _give_back() -> None:
    """Takes the pages of all mapped arrays out of this process; what was written to them stays in their files."""
    for mapped in list(_MAPPED):
        mapped.madvise(MADV_DONTNEED)


def zeros(shape: tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
    """Returns an array of zeros that may be written. Raises OSError where the disk has no room for it: else the first
    write beyond the room would end the process."""
    size = prod(shape) * np.dtype(dtype).itemsize
    if size <= SMALL:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(prefix="croupier-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise OSError(
                f"{tempfile.gettempdir()}: found no room for {size:,} bytes of temporary files ({error.strerror}); "
                "free space there, or set TMPDIR to a folder on a larger disk"
            ) from error
        return _mapped(file, shape, dtype)


def _mapped(file: IO[bytes], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    mapped = mmap(file.fileno(), prod(shape) * np.dtype(dtype).itemsize)
    _MAPPED.add(mapped)
    return np.frombuffer(mapped, dtype).reshape(shape)


class BlocksOnDisk:
    """An array of rows that come in blocks, each padded with zeros to the widest in its second dimension."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="croupier-")  # noqa: SIM115 - `array` closes it
        self._shapes = list[tuple[int, ...]]()
        self._dtype: Any = np.float64

    def add(self, block: NDArray[Any]) -> None:
        """Appends a block (n, …)."""
        self._dtype = block.dtype
        self._shapes.append(block.shape)
        self._file.write(np.ascontiguousarray(block).data)

    def array(self) -> NDArray[Any]:
        """Returns all blocks as one array. Nothing can be added after it."""
        rows, tails = sum(shape[0] for shape in self._shapes), {shape[1:] for shape in self._shapes}
        with self._file as file:
            file.flush()
            size = sum(map(prod, self._shapes)) * np.dtype(self._dtype).itemsize
            if len(tails) == 1 and size > SMALL:
                return _mapped(file, (rows, *tails.pop()), self._dtype)
            return self._padded(zeros((rows, *map(max, zip(*tails, strict=True))), self._dtype))

    def _padded(self, out: NDArray[Any]) -> NDArray[Any]:
        self._file.seek(0)
        start = 0
        for shape in self._shapes:
            block = np.fromfile(self._file, self._dtype, prod(shape)).reshape(shape)
            out[(slice(start, start + shape[0]), *map(slice, shape[1:]))] = block
            start += shape[0]
        return out
