"""What a verdict could not be asked: a check that was not made is said, with its reason, and never counts as passed.

A check that blocks counts as not passed: nothing else stands in for it. One that does not block is only stated, since
another check of the same verdict covers what it would have found. models/GATE.md lists which is which, and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """`name` is the condition's, or that of a part of it after a colon; `reason` completes "not checked, because …"."""

    name: str
    reason: str
    blocks: bool


def of_features(leaks: Sequence[Unchecked], agreement: Sequence[Unchecked]) -> tuple[Unchecked, ...]:
    """What leaks/ and agreement.py could not ask. Each of the two sees a feature that knows the draw,
    so where one was made, the other only states that it was not; where neither was, both block."""
    unseen = any(u.blocks for u in leaks)
    stated = [u if agreement else replace(u, blocks=False) for u in leaks]
    return (*stated, *(replace(u, blocks=unseen) for u in agreement))
