"""Lists of arms that requests brought along lately, by their bytes: read, checked and typed once.

News is shown to many: the same list comes with request after request, and only its bytes have to be looked up. What a
list holds depends on the release alone, so each release has lists of its own.
"""

from collections import OrderedDict

from croupier.serving.contract.requests import Listed

MOST = 256  # lists
MOST_SEEN = 4 * MOST  # lists of which it is known that they came once
LONGEST = 16 << 10  # bytes of a list that is kept: together they take a few MiB


class ArmLists:
    """The lists that were used last, from the second time on: those that come once are not worth their place. One
    thread at a time, as the selector that it belongs to."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Listed] = OrderedDict()
        self._seen: set[int] = set()

    def get(self, raw: bytes) -> Listed | None:
        """What a list of these bytes was read as; None where it is not known."""
        found = self._kept.get(raw)
        if found is not None:
            self._kept.move_to_end(raw)
        return found

    def keep(self, raw: bytes, listed: Listed) -> None:
        """Keeps a list that comes again, and forgets the one that was not asked for the longest."""
        if (mark := hash(raw)) not in self._seen:
            if len(self._seen) >= MOST_SEEN:
                self._seen.clear()
            self._seen.add(mark)
        elif len(raw) <= LONGEST:
            self._kept[bytes(raw)] = listed
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
