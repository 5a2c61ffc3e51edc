"""What one host has spent of a budget on a day: three numbers in a file that all of its processes count in.

<home>/spending/2026-11-29-1f0c…   spent, the version of the prices seen last, what was spent when it was first seen

The file is mapped into each process, and changed under its lock by stores of eight bytes, so a process that is killed
leaves the account as it was before or after. What it has reserved and not yet given back stays counted: a killed
process can make less be spent, never more."""

import fcntl
import hashlib
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from croupier.features.batch import F64

BYTES = 24


class SpentHere(NamedTuple):
    """`spent` of the day by this host, reservations included; `version` of the prices that it went by last, and what
    was spent (`base`) when it first did."""

    spent: float
    version: float
    base: float


class HostAccount:
    """One budget's account of one day. The file is made when it is first asked for; those of other days are deleted."""

    def __init__(self, folder: Path, name: str, day: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        for old in folder.glob(f"*-{digest}"):
            if old.name < f"{day}-{digest}":
                old.unlink(missing_ok=True)
        self.day = day
        self._file = os.open(folder / f"{day}-{digest}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._file).st_size < BYTES:
            os.ftruncate(self._file, BYTES)  # zeros
        self._numbers = np.frombuffer(mmap.mmap(self._file, BYTES), np.float64)

    def __del__(self) -> None:
        os.close(self._file)

    @contextmanager
    def open(self) -> Iterator["OpenAccount"]:
        """The account, while no other process can change it."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield OpenAccount(self._numbers)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


class OpenAccount:
    """An account that is locked: read, and changed by `add`."""

    def __init__(self, numbers: F64) -> None:
        self._numbers = numbers

    @property
    def now(self) -> SpentHere:
        """What it says."""
        return SpentHere(*self._numbers.tolist())

    def seen(self, version: int) -> None:
        """Notes that decisions go by this version of the prices from now on."""
        if version != self._numbers[1]:
            self._numbers[2] = self._numbers[0]  # before the version: who is killed in between leaves the older one
            self._numbers[1] = version

    def add(self, amount: float) -> None:
        """Adds what is reserved, or, below 0, what was not spent of that."""
        self._numbers[0] = max(self._numbers[0] + amount, 0.0)
