"""The propensity audit's evidence in the store: one small object an interval, and one sum a day.

    audit/1767225600000000-1767229200000000.json    of the interval, {group: Evidence}
    audit/day=2026-01-01.json                       of the day's: {"at", "spans", "entry", "audit"}, or {"at", "stale"}

An hour's validation asks for all evidence of other hours. The sums of days keep what it lists and reads from growing
with every hour that the app has lived: a day's intervals are listed when its sum was made stale, as whoever judges an
interval of it does, before and after. A sum says from when on its intervals count (`entry`: where an earlier one, made
by hand, reaches into the day), and is made anew where that has changed.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress

import orjson

from croupier.features.quality.audit import Audit, AuditEvidence, total
from croupier.features.store import layout
from croupier.features.store.storage import Conflict, Store
from croupier.features.utc import DAY, hour_name

Span = tuple[int, int]  # [start, end) in UTC µs


def save(store: Store, start: int, end: int, audit: Audit) -> None:
    """Keeps the evidence of the interval [start, end), UTC µs; a repeated or restated interval replaces its own."""
    _by_days(store)
    _make_stale(store, start, end)
    store.put(layout.audit(start, end), _packed(audit))
    _make_stale(store, start, end)  # a sum that was made in between has not seen it


def elsewhere(store: Store, start: int, end: int) -> Audit:
    """All evidence kept of intervals that overlap neither [start, end) nor each other."""
    _by_days(store)
    found, free = [], 0
    for key in store.list(layout.AUDIT_DAYS):
        of_day, free = _of_day(store, key, (start, end), free)
        found.append(of_day)
    return total(found)


def _of_day(store: Store, key: str, asked: Span, free: int) -> tuple[Audit, int]:
    """The sum over a day's spans that overlap neither `asked` nor what ends at `free`, and when the last of them ends.
    It is kept, where `asked` takes nothing from it, for the next to ask."""
    raw, version = store.read(key)
    sums = orjson.loads(raw)
    at, entry = sums["at"], max(free, sums["at"])
    spans = [(int(a), int(b)) for a, b in sums["spans"]] if "entry" in sums else []
    if sums.get("entry") == entry and not _overlap(spans, asked):
        return _loaded(sums["audit"]), max((free, *(b for _, b in spans)))
    listed = _listed(store, at)
    spans = list(_apart((span for span in listed if not _overlap([span], asked)), entry))
    found = total(_loaded(orjson.loads(store.get(layout.audit(*span)))) for span in spans)
    if not _overlap(listed, asked):
        body = {
            "at": at,
            "spans": spans,
            "entry": entry,
            "audit": {group: each.to_dict() for group, each in found.items()},
        }
        with suppress(Conflict):  # somebody judged an interval of the day meanwhile, or made the same sum
            store.swap(key, orjson.dumps(body), version)
    return found, max((free, *(b for _, b in spans)))


def _listed(store: Store, at: int) -> list[Span]:
    """The intervals kept that begin in the day of `at`; no other day's are listed."""
    first, last = (layout.audit(day, 0).removeprefix(layout.AUDIT) for day in (at, at + DAY))  # times have 16 digits
    found = (layout.audit_span(key) for key in store.between(layout.AUDIT, first, last))
    return sorted(span for span in found if span is not None)


def _overlap(spans: Iterable[Span], asked: Span) -> bool:
    return any(start < asked[1] and asked[0] < end for start, end in spans)


def _apart(spans: Iterable[Span], free: int) -> Iterator[Span]:
    """The spans, in order, less those that begin before `free`, or before an earlier one has ended."""
    for start, end in spans:
        if start >= free:
            yield start, end
            free = end


def _make_stale(store: Store, start: int, end: int) -> None:
    """Every day that [start, end) has a part in. Each mark is another, so that a sum under way finds it changed."""
    for at in range(start // DAY * DAY, end, DAY):
        store.put(_day_key(at), orjson.dumps({"at": at, "stale": uuid.uuid4().hex}))


def _by_days(store: Store) -> None:
    """A store in which days had sums where they were asked for alone, until November 2026, gets one for each day."""
    if store.read(layout.AUDIT_BY_DAYS)[1] is not None:
        return
    for key in store.list(layout.AUDIT):
        span = layout.audit_span(key)
        if span is not None:
            _make_stale(store, *span)
    store.put(layout.AUDIT_BY_DAYS, b"{}")


def _packed(audit: Audit) -> bytes:
    return orjson.dumps({group: found.to_dict() for group, found in audit.items()}, option=orjson.OPT_SORT_KEYS)


def _loaded(rows: dict[str, dict[str, object]]) -> Audit:
    return {group: AuditEvidence.from_dict(row) for group, row in rows.items()}


def _day_key(at: int) -> str:
    return layout.audit_day(hour_name(at // DAY * DAY)[:10])
