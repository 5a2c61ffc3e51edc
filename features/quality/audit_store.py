"""The propensity audit's evidence in the store: one small object an interval, and one sum a day.

    audit/1767225600000000-1767229200000000.json    of the interval, {group: Evidence}
    audit/day=2026-01-01.json                       of the day's intervals, {"spans", "audit"}

An hour's validation asks for all evidence of other hours. The sums of days keep what it reads from growing with every
hour that the app has lived: a day's sum is made when it is first asked for, and thrown away when one of its intervals
is judged again.
"""

from collections.abc import Iterable
from itertools import groupby

import orjson

from croupier.features.quality.audit import Audit, Evidence, total
from croupier.features.store.storage import Store
from croupier.features.utc import HOUR, hour_name

Span = tuple[int, int]  # [start, end) in UTC µs
DAY = 24 * HOUR


def save(store: Store, start: int, end: int, audit: Audit) -> None:
    """Keeps the evidence of the interval [start, end), UTC µs; a repeated or restated interval replaces its own."""
    store.put(_key((start, end)), _packed(audit))
    store.delete(_day_key(start))


def elsewhere(store: Store, start: int, end: int) -> Audit:
    """All evidence kept of intervals that overlap neither [start, end) nor each other."""
    kept = _apart((a, b) for a, b in _spans(store) if b <= start or a >= end)
    days = [list(spans) for _, spans in groupby(kept, key=lambda span: span[0] // DAY)]
    return total(_of_day(store, spans, whole=not _touches(spans[0][0], start, end)) for spans in days)


def _spans(store: Store) -> list[Span]:
    names = [key.removeprefix("audit/").removesuffix(".json") for key in store.list("audit/")]
    found = [name.partition("-") for name in names if not name.startswith("day=")]
    return sorted((int(start), int(end)) for start, _, end in found)


def _apart(spans: Iterable[Span]) -> Iterable[Span]:
    """The spans, in order, less those that begin before an earlier one has ended."""
    free = 0
    for start, end in spans:
        if start >= free:
            yield start, end
            free = end


def _touches(at: int, start: int, end: int) -> bool:
    """Whether the day of `at` has a part in [start, end): its sum would change with the interval that is judged."""
    first = at // DAY * DAY
    return first < end and start < first + DAY


def _of_day(store: Store, spans: list[Span], *, whole: bool) -> Audit:
    """The sum over a day's spans; kept, where the day is `whole`, for the next to ask."""
    names = [_key(span) for span in spans]
    if whole:
        raw, known = store.read(_day_key(spans[0][0]))
        if known is not None and (sums := orjson.loads(raw))["spans"] == names:
            return _loaded(sums["audit"])
    found = total(_loaded(orjson.loads(store.get(name))) for name in names)
    if whole:
        body = {"spans": names, "audit": {group: evidence.to_dict() for group, evidence in found.items()}}
        store.put(_day_key(spans[0][0]), orjson.dumps(body))
    return found


def _packed(audit: Audit) -> bytes:
    return orjson.dumps({group: found.to_dict() for group, found in audit.items()}, option=orjson.OPT_SORT_KEYS)


def _loaded(rows: dict[str, dict[str, object]]) -> Audit:
    return {group: Evidence.from_dict(row) for group, row in rows.items()}


def _key(span: Span) -> str:
    return f"audit/{span[0]}-{span[1]}.json"


def _day_key(at: int) -> str:
    return f"audit/day={hour_name(at // DAY * DAY)[:10]}.json"
