"""The steps of `build_features`: for an interval that a person names, or, on schedule, for whatever is due by now.

    join       every mature hour that was not joined, or not whole
    validate   Great Expectations, hour by hour; an hour that fails keeps no other back
    encode     the rolling training window, if a training is due

A run after an outage takes up what is due, oldest first; a run that finds nothing due changes nothing. They take and
return plain JSON, and are safe to repeat.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from croupier.features import build, clock
from croupier.features.encoded.kept import keep
from croupier.features.encoding.earlier_columns import extends
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions import hours, judged_hours, window
from croupier.features.interactions.account import Account
from croupier.features.interactions.parts import log_parts
from croupier.features.interactions.quarantine import HELD
from croupier.features.interactions.versions import Version, newest, partitions
from croupier.features.joining import by_engine
from croupier.features.quality.findings import QualityFailed, QualityReport
from croupier.features.utc import from_us, hour_start, to_us
from croupier.features.workspace import Interval, Workspace

KEPT_FEATURES = 3  # encoded windows kept whole; of older ones what is small stays


AskedInterval = tuple[str, str] | None  # (start, end) as a person gave them; None: what is due


def join(app: str, asked: AskedInterval) -> dict[str, Any]:
    """Joins the asked interval, or the hours that are due. Returns {"app", and the account; "hours" where due}."""
    return join_due(app) if asked is None else {"app": app, **build.join(app, *asked)}


def validate(app: str, asked: AskedInterval, joined: dict[str, Any]) -> dict[str, Any]:
    """Validates the asked interval as one, or each due hour. Returns {"app", "page", "refused", …}."""
    if asked is None:
        return validate_due(app, joined["hours"])
    report, page = build.validate(app, *asked, joined)
    w, interval = Workspace.open(app), Interval.parse(*asked)
    _record_asked(w, interval, report, page)
    return {"app": app, "page": page, "refused": {}, **report.to_dict(), "error": report.error}


def _record_asked(w: Workspace, interval: Interval, report: QualityReport, page: str) -> None:
    """Keeps what was said of the interval's hours, as they are now that held rows are out. Where nothing but bad rows
    of some hours was critical, the others have passed."""
    read = partitions(w.store, start=interval.start, end=interval.end)
    failed = tuple(finding.rule for finding in report.critical)
    held = report.broken.filter(state=HELD).height if report.quarantined else 0
    checked = hours.Checked(passed=report.passed, rows=report.rows - held, page=page, failed=failed, quarantined=held)
    stopped = report.stopped if all(finding.examples for finding in report.critical) else set(read)
    parts = {True: {h: v for h, v in read.items() if report.passed or h not in stopped}}
    parts[False] = {h: v for h, v in read.items() if h not in parts[True]}
    for passed, versions in parts.items():
        if versions or not read:
            found = checked if passed == report.passed else replace(checked, passed=passed, failed=())
            judged_hours.record_interval(w.store, interval.key, versions, found)


def or_raise(validated: dict[str, Any]) -> dict[str, Any]:
    """What an asked interval's validation returned. Raises QualityFailed if a critical rule failed."""
    if validated.get("error"):
        raise QualityFailed(validated["error"])
    return validated


def encode(app: str, asked: AskedInterval) -> dict[str, Any]:
    """Encodes the asked interval; or the training window, if a training is due ("features" is "" if none is)."""
    return encode_due(app) if asked is None else build.encode(app, *asked)


def join_due(app: str) -> dict[str, Any]:
    """Joins the hours that are due. Returns {"app", "hours": […], and the account of their events}."""
    w, now = Workspace.open(app), clock.now()
    waiting = hours.due(w.store, w.spec, now=now)
    account = by_engine.join(w, waiting, now=now) if waiting else Account()
    return {"app": app, "hours": waiting, **account.to_dict()}


def validate_due(app: str, waiting: list[str]) -> dict[str, Any]:
    """Validates each of these hours by itself and keeps what was found. Returns {"app", "passed": [hours], "refused":
    {hour: what failed}, "page": of the first refused hour, else of the last}."""
    w = Workspace.open(app)
    found = {hour: _validated(w, hour) for hour in waiting}
    refused = {hour: ", ".join(checked.failed) for hour, checked in found.items() if not checked.passed}
    pages = [found[hour].page for hour in [*refused, *reversed(found)] if found[hour].page]
    passed = [hour for hour in found if hour not in refused]
    return {"app": app, "passed": passed, "refused": refused, "page": pages[0] if pages else ""}


def _validated(w: Workspace, hour: str) -> hours.Checked:
    start = from_us(hour_start(hour))
    end = start + timedelta(hours=1)
    version: Version = newest(w.store, start=start, end=end)[hour]
    if version.rows == 0:  # an hour of rewards and rejects alone has no interaction to judge
        checked = hours.Checked(passed=True, rows=0)
    else:
        report, page = build.validate(w.settings.app, start.isoformat(), end.isoformat(), version.account)
        failed = tuple(finding.rule for finding in report.critical)
        held = report.broken.filter(state=HELD).height if report.quarantined else 0
        version, whole = newest(w.store, start=start, end=end)[hour], version
        checked = hours.Checked(passed=report.passed, rows=version.rows, page=page, failed=failed, quarantined=held)
        if version.version != whole.version and not _less(whole, version, held):
            return checked  # more has come meanwhile: the next build judges it
    hours.record(w.store, version, checked)
    return checked


def _less(whole: Version, left: Version, held: int) -> bool:
    """Whether a version is the one that was judged, less the rows that are held."""
    return left.rows == whole.rows - held and set(left.changed) <= {"rows_removed", "interactions", "quarantined"}


def raise_refused(validated: dict[str, Any]) -> None:
    """Raises QualityFailed naming each hour that did not pass and the rules it broke; what passed goes on."""
    if validated["refused"]:
        hours_and_rules = "; ".join(f"{hour}: {rules}" for hour, rules in validated["refused"].items())
        raise QualityFailed(
            f"{validated['app']}: {len(validated['refused'])} hours are left out of training: {hours_and_rules}; open "
            "the Report of `validate`; an hour comes back by itself when events restate it and it passes; rows that "
            "broke a row rule can be let in or left out: croupier quarantine list | release | drop"
        )


def encode_due(app: str) -> dict[str, Any]:
    """Encodes the training window if a training is due. Returns {"app", "due": why, "features": key or ""}."""
    w, now = Workspace.open(app), clock.now()
    seen = window.window(w.store, w.spec, now=now)
    why = window.due(w.store, w.spec, seen, now=now)
    if not why:
        return {"app": app, "due": "", "features": ""}
    encoded = encode_window(w, seen, now=now)
    window.begin(w.store, encoded["features"], now=now)
    return {**encoded, "due": why}


def encode_window(w: Workspace, seen: window.Window, *, now: datetime) -> dict[str, Any]:
    """The window's rows, encoded and kept under a key of all they were made from."""
    start, end, share = seen.start.isoformat(), seen.end.isoformat(), seen.share(w.spec.training.rows)
    with log_parts.learnt(w.store, w.spec, seen.hours.values(), keep=share) as log:
        encoded = keep(
            w,
            log,
            build.fitted(w, running_encoder(w), log),
            name=f"window-{start}-{end}",
            facts=build.facts_of(w, start, end),
            partitions=seen.partitions,
            hours={hour: v.rows for hour, v in seen.hours.items()},
            end_us=to_us(seen.end),
            began=to_us(now),
        )
    window.sweep(w.store, kept=KEPT_FEATURES)
    return encoded


def running_encoder(w: Workspace) -> Encoder | None:
    """The encoder that the models under judgement read, while app.toml declares the same features: that of the last
    training if it is the release's or has grown out of it, else the release's. Policies of several trainings can only
    be judged on one log if each finds its own columns in it."""
    released = build.released_encoder(w)
    last = build.encoder_of(w, window.last_features(w.store))
    if released is None or last is None:
        return released or last
    return last if extends(last, released) else released
