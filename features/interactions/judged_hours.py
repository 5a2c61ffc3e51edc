"""What the validation said of the very hours, in the very versions, that an evaluation judges.

Scheduled hours are validated one by one (hours.py); an interval that a person names is validated as one, and
what was found is kept for the versions that it read:

    quality/interval=20261101T0000-20261102T0000/1f2e….json   {"passed": true, …, "versions": {"2026-11-01T07": 2}}
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import orjson

from croupier.features.interactions.hours import Checked
from croupier.features.store import layout
from croupier.features.store.partitions import keys_between
from croupier.features.store.storage import Store
from croupier.features.utc import hour_start


@dataclass(frozen=True, kw_only=True)
class HoursQuality:
    """`failed`: "hour version: rules" of each that did not pass; `unknown`: those that nobody validated."""

    failed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def record_interval(store: Store, interval: str, versions: Mapping[str, int], checked: Checked) -> None:
    """Keeps what was said of an interval that was validated as one; `versions`: hour → version that it read."""
    body = orjson.dumps(asdict(checked) | {"versions": dict(versions)}, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(orjson.dumps(dict(versions), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    store.put(layout.checked_interval(interval, digest), body)


def reopen(store: Store, hour: str) -> None:
    """Takes back every verdict on an interval that failed with this hour in it: a person has decided about its rows,
    and the next validation says anew what is wrong."""
    for key in store.list(layout.QUALITY_INTERVALS):
        body = orjson.loads(store.get(key))
        if hour in body["versions"] and not body["passed"]:
            store.delete(key)


def quality_of(store: Store, versions: Mapping[str, int], hours: Sequence[str]) -> HoursQuality:
    """Judges these hours, in the version that was read (`versions`): each must have passed, and no newer version of it
    that was validated may have failed, since then the hour is known to be bad."""
    said = _said(store, set(hours))
    failed, unknown = list[str](), list[str]()
    for hour in hours:
        version, found = versions.get(hour, 0), said.get(hour, {})
        bad = [v for v in sorted(found) if v >= version and not found[v].passed]
        failed += [f"{hour} v{v}: {', '.join(found[v].failed) or 'failed'}" for v in bad]
        if not bad and version not in found:
            unknown.append(f"{hour} v{version}")
    return HoursQuality(failed=tuple(failed), unknown=tuple(unknown))


def _said(store: Store, hours: set[str]) -> dict[str, dict[int, Checked]]:
    """hour → version → what was said of it; of two verdicts of one version the one that failed."""
    found: dict[str, dict[int, Checked]] = {}
    starts = [hour_start(hour) for hour in hours] or [0]
    keys = keys_between(store, layout.QUALITY, min(starts), max(starts)) if hours else []
    for key in [*keys, *store.list(layout.QUALITY_INTERVALS)]:
        name, number = layout.hour_of(key), layout.checked_version(key)
        if name and (name not in hours or number is None):  # beside it: the quarantine's history
            continue
        body = orjson.loads(store.get(key))
        versions = body.pop("versions") if number is None else {name: number}
        checked = Checked(**body | {"failed": tuple(body["failed"])})
        for hour, version in versions.items():
            of = found.setdefault(hour, {})
            if version not in of or of[version].passed:
                of[version] = checked
    return found
