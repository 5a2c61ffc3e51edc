"""One rule for the ids of arms in every log that comes in: blanks around an id are dropped, nothing else is.

`Red` and `red` are two arms, here and where requests are validated; whoever brings a log with both is told, by init,
import and ope.
"""

from collections.abc import Iterable

MOST = 3  # groups that are named


def bare(arm: object) -> str:
    """The id of an arm as it counts."""
    return str(arm).strip()


def alike(arms: Iterable[str]) -> list[str]:
    """A sentence for each group of ids that differ in case, or in inner blanks, alone; [] where there is none."""
    groups: dict[str, list[str]] = {}
    for arm in arms:
        groups.setdefault("".join(arm.split()).casefold(), []).append(arm)
    twins = [sorted(group) for group in groups.values() if len(group) > 1]
    said = [
        f"{' and '.join(map(repr, group))} are different arms; if they are one, write them alike" for group in twins
    ]
    return said[:MOST] + ([f"and {len(said) - MOST} more groups of such arms"] if len(said) > MOST else [])
