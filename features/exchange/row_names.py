"""Event ids of a log that has none: made from its content, so that neither its name nor its folder matters.

A row's id is a digest over the first HEAD rows, and over every row up to its own. The same file gives the same ids
wherever it lies; a file that has grown since keeps the ids of its old rows (from HEAD rows on); two files of one name,
and equal rows of one file, are told apart.
"""

import hashlib
from collections.abc import Iterable

HEAD = 64  # rows that tell two logs apart; a shorter log that grows is another log


class RowNames:
    """`head`: the first HEAD rows of the log; then `name` for each of its rows in turn."""

    def __init__(self, head: Iterable[bytes]) -> None:
        self._state = b""
        for row in head:
            self.name(row)

    def name(self, row: bytes) -> str:
        """Returns the id of the next row, which depends on it and on all rows before."""
        self._state = hashlib.blake2b(row, key=self._state, digest_size=16).digest()
        return self._state.hex()
