"""Sorted files merged into one, some rows of each in memory at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl


def merged(parts: Iterable[Iterator[pl.DataFrame]], by: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Yields the rows of all parts in the order of the columns `by`, in which the frames of each part come. Rows of two
    parts are never equal in `by`; those of one part that are stay in their order. One frame of each part is held."""
    held = [(frame, part) for part in parts if (frame := _next(part)) is not None]
    while held:
        bound = min(frame.select(by).row(-1) for frame, _ in held)
        ends = [int(frame.select(_up_to(bound, by).sum()).item()) for frame, _ in held]
        reached = [frame[:end] for (frame, _), end in zip(held, ends, strict=True)]
        yield pl.concat(reached).sort(by, maintain_order=True)
        left = ((frame[end:], part) for (frame, part), end in zip(held, ends, strict=True))
        more = ((_next(part) if frame.is_empty() else frame, part) for frame, part in left)
        held = [(frame, part) for frame, part in more if frame is not None]


def _next(part: Iterator[pl.DataFrame]) -> pl.DataFrame | None:
    return next((frame for frame in part if len(frame)), None)


def _up_to(bound: tuple[Any, ...], by: Sequence[str]) -> pl.Expr:
    """Whether a row is not after `bound` in the order of `by`."""
    (value, *values), (name, *names) = bound, by
    before, same = pl.col(name).lt(value), pl.col(name).eq(value)
    return before | (same & _up_to(tuple(values), names) if names else same)
