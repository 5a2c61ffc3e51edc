"""Inline arms in a log: whom rows list beside them, and the stable key under which they are counted."""

from collections.abc import Sequence

import polars as pl

from croupier.features.encoding.inline import COLUMN, given_in

INLINE = "(inline)"  # all inline arms together: their ids come and go, by the million
HAS = pl.col(COLUMN).str.len_bytes() > 2  # rows whose request brought an arm along


def listed(df: pl.DataFrame) -> list[Sequence[str]]:
    """The candidates of each row that are arms of a catalogue."""
    pairs = zip(df["arms"].to_list(), given_in(df), strict=True)
    return [[a for a, own in zip(arms, given, strict=True) if own is None] if given else arms for arms, given in pairs]


def keyed(df: pl.DataFrame) -> pl.Series:
    """The candidates of each row, every inline arm as INLINE."""
    if not brings(df):
        return df["arms"]
    pairs = zip(df["arms"].to_list(), given_in(df), strict=True)
    names = [
        [a if own is None else INLINE for a, own in zip(arms, given, strict=True)] if given else arms
        for arms, given in pairs
    ]
    return pl.Series("arms", names, dtype=pl.List(pl.String))


def brings(df: pl.DataFrame) -> bool:
    """True if any row's request brought an arm along."""
    return COLUMN in df.columns and bool(df.select(HAS.any()).item())
