"""Lists of arms that requests brought along lately, by their bytes: read, checked and typed once.

News is shown to many: the same list comes with request after request, and only its bytes have to be looked up. What a
list holds depends on the release alone, so each release has lists of its own.
"""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Read = TypeVar("Read")  # as what a list is kept
MOST = 256  # lists
MOST_SEEN = 4 * MOST  # lists of which it is known that they came once
MARKED = 96  # bytes at a list's end: of the last arms, those that change most
LONGEST = 16 << 10  # bytes of a list that is kept: together they take a few MiB


class ArmLists(Generic[Read]):
    """The lists that were used last, from the second time on: those that come once are not worth their place. Threads
    may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Read] = OrderedDict()
        self._seen: set[int] = set()
        self._marks: set[int] = set()  # of those that are kept: what has another is not looked for
        self._turn = threading.Lock()

    def get(self, raw: bytes) -> Read | None:
        """What a list of these bytes was read as; None where it is not known."""
        if _mark(raw) not in self._marks:
            return None
        with self._turn:
            found = self._kept.get(raw)
            if found is not None:
                self._kept.move_to_end(raw)
        return found

    def keep(self, raw: bytes, listed: Read) -> None:
        """Keeps a list that comes again, and forgets the one that was not asked for the longest."""
        mark = _mark(raw)
        with self._turn:
            if mark not in self._seen:
                if len(self._seen) >= MOST_SEEN:
                    self._seen.clear()
                self._seen.add(mark)
            elif len(raw) <= LONGEST:
                self._kept[bytes(raw)] = listed
                self._marks.add(mark)
                if len(self._kept) > MOST:
                    self._marks.discard(_mark(self._kept.popitem(last=False)[0]))


def _mark(raw: bytes) -> int:
    """Returns a number that is the same for the same bytes, and as good as always another for the lists of an app: to
    hash a list as a whole takes as long as to read a fifth of it."""
    return hash((len(raw), raw[-MARKED:]))
