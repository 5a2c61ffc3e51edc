"""Requests to allocate that lack some of their items: what a policy would have allocated to the others cannot be told.

Items go missing one by one where the log was thinned at its cap, or a row broke a rule. The rest of their request is
then neither learnt nor judged, and how many rows that are is said."""

from collections import Counter

import polars as pl

from croupier.features.budgets.allocated_item import item_of, request_of


def allocate(rows: pl.DataFrame) -> bool:
    """True if any of these rows is an item of a request to allocate."""
    return "allocation" in rows.columns and bool((rows["allocation"] != "").any())


def requests_of(rows: pl.DataFrame) -> list[str]:
    """The request to allocate that each row is an item of, or its own event."""
    if "allocation" not in rows.columns:
        return rows["event_id"].to_list()
    return [request_of(event, text) for event, text in rows.select("event_id", "allocation").iter_rows()]


def together(rows: pl.DataFrame) -> list[str]:
    """What each row is kept or left out by: what its event is named within, a slate or a request to allocate, or the
    event itself."""
    return [event.rpartition("/")[0] or event for event in rows["event_id"].to_list()]


def whole(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows (arrow.INTERACTIONS) but for those of requests whose other items are not among them."""
    if not allocate(rows):
        return rows
    found = Counter(requests_of(rows))
    pairs = rows.select("event_id", "allocation").iter_rows()
    kept = [not text or found[request_of(event, text)] == item_of(text).items for event, text in pairs]
    if out := kept.count(False):
        print(f"{out:,} of {len(rows):,} rows are left out: other items of their requests to allocate are missing")
    return rows.filter(pl.Series(kept, dtype=pl.Boolean))
