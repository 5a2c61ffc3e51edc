"""Event ids as if made at another time: `ids.uuid7` never goes back within a process."""

import random


def minted(at: int, rng: random.Random = random) -> str:
    """Returns a UUIDv7 made at `at` (UTC µs)."""
    digits = f"{at // 1000:012x}7{rng.getrandbits(12):03x}{rng.choice('89ab')}{rng.getrandbits(60):015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
