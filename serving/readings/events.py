"""The log as metrics: what this host has not shipped, whether rewards come, its disk; and the hours that are due."""

import shutil
from collections.abc import Iterator
from datetime import timedelta

from croupier.features.interactions import hours
from croupier.features.log.backlog import backlog
from croupier.features.reward import window_us
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.utc import HOUR, from_us, hour_start
from croupier.features.workspace import Workspace
from croupier.serving.readings.sample import Sample, age

WEEK = timedelta(days=7)


def log(w: Workspace, now: int) -> Iterator[Sample]:
    """This host's log; nothing where the host has none, which is not made by looking. A host that only shares the store
    has no app.toml: for how long its rewards may come is then the default, and whether they come is told elsewhere."""
    if not (w.home / layout.SPOOL_LOG).exists():
        return
    declared = (w.home / layout.APP_TOML).exists() or not w.settings.store
    window = window_us(w.spec.reward if declared else AppSpec().reward)
    found = backlog(w.home / layout.SPOOL_LOG, window_us=window, now=now)
    host = {"host": w.settings.host}
    waiting = 0.0 if found.oldest_unshipped is None else age(now, found.oldest_unshipped)
    yield Sample("croupier_log_bytes", float(found.bytes), host)
    yield Sample("croupier_log_fill_ratio", found.bytes / w.settings.spool_max_bytes, host)
    yield Sample("croupier_log_unshipped_rows", float(found.unshipped), host)
    yield Sample("croupier_log_unshipped_age_seconds", waiting, host)
    if found.newest_shipped is not None:
        yield Sample("croupier_log_shipped_age_seconds", age(now, found.newest_shipped), host)
    if found.newest is not None:
        yield Sample("croupier_log_newest_age_seconds", age(now, found.newest), host)
    if found.expected_rewards is not None and declared:
        yield Sample("croupier_log_expected_rewards", found.expected_rewards, host)


def joined(w: Workspace, now: int) -> Iterator[Sample]:
    """What `build_features` has not done, and what did not pass; nothing where the app is not declared on this host."""
    if w.settings.store and not (w.home / layout.APP_TOML).exists():
        return
    due = hours.due(w.store, w.spec, now=from_us(now))
    mature = hour_start(due[0]) + HOUR + window_us(w.spec.reward) if due else now
    yield Sample("croupier_hours_due", float(len(due)))
    yield Sample("croupier_hour_lag_seconds", age(now, mature))
    failed = hours.refused(w.store, start=from_us(now) - WEEK, end=from_us(now))
    yield Sample("croupier_quality_failed_hours", float(len(failed)))


def disk(w: Workspace, now: int) -> Iterator[Sample]:  # noqa: ARG001 - as every reader
    """The disk that the app's folder lies on. Raises OSError where the folder is gone."""
    usage, host = shutil.disk_usage(w.home), {"host": w.settings.host}
    yield Sample("croupier_disk_free_bytes", float(usage.free), host)
    yield Sample("croupier_disk_size_bytes", float(usage.total), host)
