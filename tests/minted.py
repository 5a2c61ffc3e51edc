"""Event ids as if made at another time: `ids.uuid7` never goes back within a process."""

import random

from croupier.features.schema import Decision


def minted(at: int, rng: random.Random = random) -> str:
    """Returns a UUIDv7 made at `at` (UTC µs)."""
    digits = f"{at // 1000:012x}7{rng.getrandbits(12):03x}{rng.choice('89ab')}{rng.getrandbits(60):015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def decision(event: str, at: int) -> Decision:
    """One of two arms alike, at `at` (UTC µs)."""
    return Decision(
        event_id=event,
        at=at,
        unit_id="u" * 32,
        context={},
        arms=("l", "r"),
        pmf=(0.5, 0.5),
        arm="l",
        propensity=0.5,
        policy="p",
        role="champion",
        release=1,
    )
