"""The slow half of the loop: the rolling window that a training reads, and whether a training is due.

The window holds every interaction of the last `training.days` whose hour is mature and passed its validation, restated
hours in their newest version. It ends at *now − reward window*. Beyond `training.rows` rows are kept by a hash of their
event id, and weighted by what they stand for, exactly as the log itself thins at its cap.

    training/begun.json   {"features", "at"}              a training has these features since then
    training/ended.json   {"features", "at", "end", "hours": {hour: rows}}   the last training that came to a verdict
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isinf
from typing import Any

import orjson

from croupier.features import clock
from croupier.features.interactions import hours
from croupier.features.interactions.versions import Version
from croupier.features.reward import window_us
from croupier.features.spec import AppSpec, TrainingSpec
from croupier.features.spec_values import seconds_of
from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.features.utc import HOUR, HOUR_SECONDS, SECOND, from_us, hour_start, to_us

AGAIN_SECONDS = HOUR_SECONDS  # real ones: a training that began and came to no verdict is begun again after so long


@dataclass(frozen=True, kw_only=True)
class Window:
    """The hours (newest sound versions) that a training reads: [start, end), where end is the last hour's end."""

    start: datetime
    end: datetime
    hours: Mapping[str, Version]

    @property
    def rows(self) -> int:
        """The number of interactions in the window."""
        return sum(version.rows for version in self.hours.values())

    def share(self, most: int) -> float:
        """Which share of the rows is at most about `most` of them."""
        return min(1.0, most / max(self.rows, 1))

    @property
    def partitions(self) -> dict[str, int]:
        """Hour → version: what `croupier restatements` asks for."""
        return {hour: version.version for hour, version in self.hours.items()}


def window(store: Store, spec: AppSpec, *, now: datetime) -> Window:
    """The window as it stands at `now`."""
    mature = from_us(to_us(now) - window_us(spec.reward))
    start = from_us(to_us(mature - timedelta(days=spec.training.days)) // HOUR * HOUR)
    found = hours.sound(store, start=start, end=mature)
    end = from_us(hour_start(max(found)) + HOUR) if found else mature
    return Window(start=start, end=end, hours=found)


def due(store: Store, spec: AppSpec, seen: Window, *, now: datetime) -> str:
    """Why a training is due at `now`; "" if none is."""
    ended, begun = _read(store, layout.TRAINING_ENDED), _read(store, layout.TRAINING_BEGUN)
    if seen.rows < max(spec.training.min_rows, 2):
        return ""
    running = begun and begun["features"] != ended.get("features")
    if running and clock.elapsed(begun["at"], now=to_us(now)) < AGAIN_SECONDS * SECOND * clock.speed():
        return ""
    if not ended:
        return "the first training"
    return _since(spec.training, new_rows(seen, ended), clock.elapsed(ended["at"], now=to_us(now)) / SECOND)


def _since(training: TrainingSpec, rows: int, seconds: float) -> str:
    """Tells by the cadence of app.toml whether a training is due. Without one new row there is nothing to train on."""
    if not rows:
        return ""
    by_time = seconds >= seconds_of(training.every)
    by_rows = training.after_rows > 0 and rows >= training.after_rows
    if not training.after_rows:
        asked = by_time
    else:
        asked = by_time or by_rows if training.when == "sooner" else by_time and by_rows
    if not asked:
        return ""
    since = "an unknown time (a clock was ahead)" if isinf(seconds) else f"{seconds / HOUR_SECONDS:.1f} hours"
    return f"{rows:,} new rows, {since} after the last training"


def new_rows(seen: Window, ended: Mapping[str, Any]) -> int:
    """Rows of the window that the last training did not have."""
    before = ended.get("hours", {})
    return sum(max(0, version.rows - before.get(hour, 0)) for hour, version in seen.hours.items())


def begin(store: Store, key: str, *, now: datetime) -> None:
    """Notes that a training with these features has begun."""
    store.put(layout.TRAINING_BEGUN, orjson.dumps({"features": key, "at": to_us(now)}))


def end(store: Store, key: str, meta: Mapping[str, Any]) -> None:
    """Notes that the training with these features has come to a verdict. An older one never replaces a newer, but one
    that a clock which was ahead dated."""
    last = _read(store, layout.TRAINING_ENDED)
    ahead = isinf(clock.elapsed(last.get("at", 0), now=clock.now_us()))
    if "began" in meta and (ahead or last.get("end", 0) <= meta["end_us"]):
        body = {"features": key, "at": meta["began"], "end": meta["end_us"], "hours": meta["hours"]}
        store.put(layout.TRAINING_ENDED, orjson.dumps(body))


def last_training(store: Store) -> dict[str, Any]:
    """Returns {"features", "at" and "end" (UTC µs), "hours": {hour: rows}} of the last training; {} before there was
    one."""
    return _read(store, layout.TRAINING_ENDED)


def last_features(store: Store) -> str:
    """Returns the key of the features of the last training that came to a verdict; "" before there was one."""
    return str(_read(store, layout.TRAINING_ENDED).get("features", ""))


def sweep(store: Store, *, kept: int) -> None:
    """Deletes the encoded rows of all but the newest `kept` windows; encoder, catalogue and meta.json stay."""
    found = []
    for key in store.list(layout.FEATURES):
        if key.endswith(f"/{layout.ENCODED}"):
            meta = orjson.loads(store.get(layout.beside(key, layout.META)))
            found += [(meta["end_us"], key)] if "end_us" in meta else []
    for _, key in sorted(found)[:-kept]:
        store.delete(key)


def _read(store: Store, key: str) -> dict[str, Any]:
    raw, version = store.read(key)
    return dict(orjson.loads(raw)) if version is not None else {}
