"""What is refused though it is well-formed, and the word it is counted under. Needs no declaration of an app."""

from croupier.features.log.spool_rows import UNTIMELY
from croupier.features.reward import CLOCK_SKEW_US, LOOKBACK_US
from croupier.features.schema import InvalidEvent


class NotAdmitted(InvalidEvent):
    """An event that is well-formed and still not what the app declares."""

    def __init__(self, field: str, found: object, expected: str, *, reason: str) -> None:
        super().__init__(field, found, expected)
        self.reason, self.expected = reason, expected


def noted(error: InvalidEvent) -> str:
    """What stands as the reason of a reject in the log: its message, after the word it is counted under, if any."""
    word = getattr(error, "reason", "")
    return f"{word}: {error}" if word else str(error)


def timely(at: int, now: int) -> int:
    """Returns the time. Raises NotAdmitted for the time (UTC µs) of a reward that lies further in the future than
    clocks differ, or further back than any decision is looked for."""
    first, last = now - LOOKBACK_US - CLOCK_SKEW_US, now + CLOCK_SKEW_US
    if not first <= at <= last:
        expected = f"{first} to {last} (UTC microseconds: the last 30 days), or 0 for now"
        raise NotAdmitted("at", at, expected, reason=UNTIMELY)
    return at
