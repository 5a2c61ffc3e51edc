"""What one host has learnt of a head: the moments that its own log added to those of the release.

    head of every host = head of the release + Σ over hosts of (that host's head − head of the release)

A contribution is cumulative and replaces the one before, so that it may be written twice, late, or not at all for a
while; sums of moments do not depend on the order (models/bayesian/posterior.py). It is named by its bytes.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import orjson

from croupier.models.bayesian.posterior import Posterior, RidgeMoments
from croupier.serving.learning.head_file import State

_HEADER = struct.Struct("<8sqq")  # magic, d, step; then A (d, d), b (d), rr, n, float64
MAGIC = b"crpart01"


@dataclass(frozen=True, eq=False)
class Contribution:
    """`step`: how many steps it took; `spool`: the id of the log that it is the fold of."""

    spool: str
    step: int
    moments: RidgeMoments

    @classmethod
    def of(cls, spool: str, base: Posterior, state: State) -> Self:
        """What the fold of a spool added to `base`, the head as released."""
        return cls(spool, state.step - base.step, state.moments + base.moments * -1.0)

    @classmethod
    def read(cls, spool: str, raw: bytes, d: int) -> Self:
        """Raises ValueError where these bytes are no contribution to a head of length `d`."""
        size = _HEADER.size + 8 * (d * d + d + 2)
        if len(raw) != size or _HEADER.unpack_from(raw)[:2] != (MAGIC, d):
            raise ValueError(f"spool {spool}: found {len(raw)} bytes, expected {size} for a head of length {d}")
        numbers = np.frombuffer(raw, np.float64, offset=_HEADER.size)
        if not np.isfinite(numbers).all():
            raise ValueError(f"spool {spool}: found numbers that are not finite, expected moments")
        A, b = numbers[: d * d].reshape(d, d), numbers[d * d : d * d + d]
        moments = RidgeMoments(A=A, b=b, rr=float(numbers[-2]), n=float(numbers[-1]))
        return cls(spool, _HEADER.unpack_from(raw)[2], moments)

    @cached_property
    def raw(self) -> bytes:
        """The bytes that stand in the shared store."""
        m = self.moments
        numbers = np.concatenate([m.A.ravel(), m.b, [m.rr, m.n]])
        return _HEADER.pack(MAGIC, len(m.b), self.step) + numbers.tobytes()

    @cached_property
    def version(self) -> str:
        """A digest of the bytes."""
        return hashlib.blake2b(self.raw, digest_size=8).hexdigest()


def ordered(contributions: Iterable[Contribution]) -> list[Contribution]:
    """By spool id, so that every host adds them in one order, to the same floats."""
    return sorted(contributions, key=lambda each: each.spool)


def total(contributions: Sequence[Contribution], d: int) -> RidgeMoments:
    """The sum of contributions, in this order, to a head of length `d`."""
    found = RidgeMoments.zeros(d)
    for each in contributions:
        found += each.moments
    return found


def described(contributions: Sequence[Contribution]) -> bytes:
    """What a name stands for, as JSON: [[spool id, step, version], …]."""
    return orjson.dumps([[each.spool, each.step, each.version] for each in contributions])


def name(contributions: Sequence[Contribution]) -> int:
    """A digest of that, of 60 bits: what decisions have on record (head_file.name_of writes it)."""
    return int.from_bytes(hashlib.blake2b(described(contributions), digest_size=8).digest()) >> 4
