"""The keys of the shipped log, below layout.LOG: objects by hour, spool and rows, what lies beside them, receipts."""

import re

from croupier.features.store import layout

FOREIGN, TARDY = "foreign", "tardy"  # kinds beside decisions, rewards and rejects: log/index/event_hours.py


def log_hour(kind: str, hour: str) -> str:
    """The prefix of the shipped log's objects of a kind and an hour."""
    return layout.hour_below(layout.log_of(kind), hour)


def log_rows(spool: str, first: int, last: int) -> str:
    """The name of the rows `first` to `last` of a spool within an hour. Until November 2026 the name of the host stood
    before it, with a hyphen."""
    return f"{spool}-{first:012d}-{last:012d}{layout.PARQUET}"


def log_object(kind: str, hour: str, *, spool: str, first: int, last: int) -> str:
    """The key of the rows `first` to `last` of a spool that belong to an hour."""
    return f"{log_hour(kind, hour)}{log_rows(spool, first, last)}"


def is_indexed(log_key: str) -> bool:
    """Whether an object of the log has its event ids in the index: those keyed by the spool's id alone have."""
    return re.fullmatch(r"[0-9a-f]{8,}-\d{12}-\d{12}\.parquet", log_key.rpartition("/")[2]) is not None


def host_of(log_key: str) -> str:
    """The host that the key of an object of the log names; "" for keys since November 2026, which name none."""
    parts = log_key.rpartition("/")[2].rsplit("-", 3)
    return parts[0] if len(parts) == 4 else ""


def receipt(kind: str, spool: str, first: int, last: int) -> str:
    """The key that says that the rows `first` to `last` of a spool were shipped."""
    return f"{layout.SHIPPED}{kind}-{spool}-{first:012d}-{last:012d}{layout.JSON}"


def receipt_kind(key: str) -> str:
    """The kind of the rows that a receipt is about."""
    return key.removeprefix(layout.SHIPPED).partition("-")[0]


def tardy(day: str, came: str, name: str) -> str:
    """The key of the tardy rewards of the shipment `name` that came in the hour `came`; `day` is the first hour of the
    day on which their ids were made."""
    return f"{log_hour('tardy', day)}{came}-{name}"
