"""The arms of a table without a column of candidates: all that were ever chosen, in the order its pmfs have."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

import polars as pl

from croupier.features.exchange.cells import as_list, missing

_SAMPLE = 1000  # pmfs that tell how many arms there are


def every_arm(arms: Iterable[str], pmf: pl.Series | None) -> list[str]:
    """Makes every arm a candidate. `arms` are the chosen ones, `pmf` the column of all probabilities, if there is one.
    Numbered arms stand in the order of their numbers; where all of 0 … k − 1 were chosen and a pmf has k entries, those
    are the arms, and a row with another is none. Raises ValueError where it cannot be known which probability is
    which arm's."""
    chosen = sorted(set(arms))
    numbers = {int(arm): arm for arm in chosen if arm.isdecimal() and arm.isascii()}
    if pmf is None:
        return [numbers[n] for n in sorted(numbers)] if len(numbers) == len(chosen) else chosen
    if len(numbers) != len(chosen):
        raise ValueError(
            "found probabilities of all arms but no column of candidates, and arms that are no distinct "
            f"numbers ({', '.join(chosen[:5])}): which probability is which arm's is not known; expected "
            "a column of candidates (--column arms=NAME), each row's in the order of its "
            "probabilities"
        )
    ordered, k = sorted(numbers), _length(pmf)
    if len(ordered) != k and ordered and ordered[-1] < k:  # arms 0 … k − 1, some of them never chosen
        return [numbers.get(n, str(n)) for n in range(k)]
    if 0 < k < len(ordered) and ordered[:k] == list(range(k)):  # and others, whose rows are counted when they are read
        return [numbers[n] for n in range(k)]
    if k and len(ordered) != k:
        raise ValueError(
            f"found {k} probabilities a row but {len(ordered)} arms ({', '.join(map(str, ordered[:5]))}, "
            "…), expected one for each; name a column of candidates by --column arms=NAME"
        )
    return [numbers[n] for n in ordered]


def _length(pmf: pl.Series) -> int:
    """The commonest length of a pmf."""
    lengths = Counter[int]()
    for cell in pmf.head(_SAMPLE):
        if not missing(cell):
            with suppress(TypeError, ValueError):  # that row is counted when it is read
                lengths[len(as_list(cell))] += 1
    return lengths.most_common(1)[0][0] if lengths else 0
