"""One Bayesian head in a memory-mapped file: one writer, any number of readers in other processes, no lock.

A sequence lock: the writer makes the number odd, writes, makes it even; a reader that saw an odd number, or another
one afterwards, reads again. A checksum tells a file torn by a crash. x86 keeps stores in order, which this relies on.
"""

import mmap
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from croupier.features.batch import F64
from croupier.models.bayesian.posterior import RidgeMoments

_HEADER = struct.Struct("<8s16sQqqII")  # magic, release digest, d, step, cursor, CRC-32 of the numbers, closing
_SEQUENCE = struct.Struct("<Q")
_START = 64  # the numbers begin here: A (d, d), b (d), rr, n, float64
MAGIC = b"crhead01"
TRIES = 50


@dataclass(frozen=True, eq=False)
class State:
    """A head after learning: `step` as the log names it, `cursor` the last row of the rewards' log it has seen, and
    `closing` the last closing of windows (features/log/closings.py; 0 in files of older versions). Of what other hosts
    have learnt (serving/fleet): the sum of their moments and steps, and `cursor` names it."""

    moments: RidgeMoments
    step: int
    cursor: int
    closing: int = 0


def name_of(state: State) -> str:
    """The name of what other hosts have learnt, where it is such a state: `cursor` is then the name as a number."""
    return f"{state.cursor:015x}"


class HeadFile:
    """`d` is the head's length, `digest` (hex) that of the release it belongs to. Raises FileNotFoundError."""

    def __init__(self, path: Path, *, d: int, digest: str) -> None:
        self._d, self._digest = d, bytes.fromhex(digest[:32])
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        if len(self._map) != size_of(d):
            raise ValueError(f"{path}: found {len(self._map)} bytes, expected {size_of(d)} for a head of length {d}")
        self._numbers: F64 = np.frombuffer(self._map, np.float64, offset=_START)

    @classmethod
    def create(cls, path: Path, *, d: int, digest: str) -> Self:
        """Open, or make anew where there is none of this size."""
        if not path.exists() or path.stat().st_size != size_of(d):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".tmp")
            draft.write_bytes(bytes(size_of(d)))
            draft.replace(path)
        return cls(path, d=d, digest=digest)

    @property
    def sequence(self) -> int:
        """Changes with every write; odd while one is going on."""
        return int(_SEQUENCE.unpack_from(self._map, 0)[0])

    def write(self, state: State) -> None:
        """Writes a state, which readers see whole or not at all."""
        d, m = self._d, state.moments
        sequence = self.sequence | 1  # odd, even if a killed writer left it so
        _SEQUENCE.pack_into(self._map, 0, sequence)
        self._numbers[: d * d] = m.A.ravel()
        self._numbers[d * d : d * d + d] = m.b
        self._numbers[-2:] = m.rr, m.n
        crc = zlib.crc32(self._numbers.tobytes())
        _HEADER.pack_into(self._map, 8, MAGIC, self._digest, d, state.step, state.cursor, crc, state.closing)
        _SEQUENCE.pack_into(self._map, 0, sequence + 1)

    def read(self) -> State | None:
        """The head as last written whole; None before the first write, after a torn one, or for another release."""
        for _ in range(TRIES):
            before = self.sequence
            if before % 2:
                time.sleep(0.0001)
                continue
            numbers, header = self._numbers.copy(), _HEADER.unpack_from(self._map, 8)
            if self.sequence == before:
                magic, digest, d, step, cursor, crc, closing = header
                if (magic, digest, d, crc) != (MAGIC, self._digest, self._d, zlib.crc32(numbers.tobytes())):
                    return None
                A, b = numbers[: d * d].reshape(d, d), numbers[d * d : d * d + d]
                return State(RidgeMoments(A=A, b=b, rr=float(numbers[-2]), n=float(numbers[-1])), step, cursor, closing)
        return None  # a writer died in the middle: its successor rebuilds


def size_of(d: int) -> int:
    """Returns the length of the file in bytes for φ of length d."""
    return _START + 8 * (d * d + d + 2)
