"""The steps of the `build_features` DAG: raw log → account → validated → encoded. Each is idempotent by its interval.

They take and return plain JSON values, since that is what a scheduler can carry between machines.
"""

import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
import polars as pl

from croupier.features import clock
from croupier.features.batch import F64, I64, Bool
from croupier.features.encoded.frame_file import columns, frames
from croupier.features.encoded.kept import digest, keep
from croupier.features.encoded.labels import RowLabels
from croupier.features.encoded.on_disk import BlocksOnDisk
from croupier.features.encoding import catalogue, dataset
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.grown import grown
from croupier.features.interactions import quarantine
from croupier.features.interactions.account import Account
from croupier.features.interactions.join import join_interval, logged_hours
from croupier.features.interactions.parts import log_parts
from croupier.features.interactions.parts.interval_rows import interval_rows
from croupier.features.interactions.versions import newest, partitions
from croupier.features.joining import by_engine
from croupier.features.known_arms import known_arms
from croupier.features.log.ship import ship
from croupier.features.quality import audit_store, gx
from croupier.features.quality.findings import QualityReport
from croupier.features.spec import AppSpec
from croupier.features.store import layout, released
from croupier.features.store.storage import Store
from croupier.features.utc import HOUR, from_us, hour_name, hour_start, to_us
from croupier.features.workspace import Interval, Workspace, get_folder


@dataclass(frozen=True)
class Features:
    """An encoded log in a folder: encoder/, catalogue.json, parts, and meta.json (key, start, end, rows, split_at).

    `split_at` (UTC µs) is where a first model, which judges its own family, stops learning. `end` is None for an
    interval by hand, whose later rows are for judging alone; for a rolling window it is the window's end (UTC µs), and
    all rows are learnt from, since the model is judged on the rows to come."""

    folder: Path
    split_at: int
    rows: int
    meta: Mapping[str, Any]
    judging: Bool | None = None  # (rows,) which of them `segments`, `guardrails` and `late` speak of; None: all

    @property
    def end(self) -> int | None:
        """The end of the interval (UTC µs) of these features; None where their `meta.json` has none."""
        found = self.meta.get("end_us")
        return None if found is None else int(found)

    @classmethod
    def fetch(cls, store: Store, key: str, folder: Path) -> Self:
        """Raises KeyError when there are no features of that key."""
        return cls.open(get_folder(store, layout.features(key), folder))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Reads the features that lie in `folder`. Raises ValueError where their rows were deleted."""
        meta = orjson.loads((folder / layout.META).read_bytes())
        if not (folder / layout.ENCODED).exists():
            raise ValueError(
                f"features {meta['features']}: found no encoded rows, since a unit of theirs was forgotten, or newer "
                f"features took their place; run build_features from {meta['start']} to {meta['end']} again"
            )
        return cls(folder, meta["split_at"], meta["rows"], meta)

    @property
    def encoder(self) -> Encoder:
        """The fitted encoder that made these rows."""
        return Encoder.load(self.folder / layout.ENCODER)

    def segments(self, since: int | None = None) -> dict[str, RowLabels]:
        """Labels of the judging rows: those from `since` on (UTC µs; `split_at` unless given)."""
        names = columns(self.folder / layout.SEGMENTS)
        return {
            name: RowLabels.of_parts(part[name] for part in self._beside(layout.SEGMENTS, since, name))
            for name in names
            if name != "at"
        }

    def guardrails(self, since: int | None = None) -> pl.DataFrame | None:
        """Returns the totals of each guardrail of the same rows; None where these features were encoded without."""
        parts = list(self._beside(layout.GUARDRAILS, since))
        return pl.concat(parts) if parts else None

    def late(self, since: int | None = None) -> F64 | None:
        """Returns (n,) what the rewards that came too late would have come to, of the same rows, or None."""
        if not (self.folder / layout.TOO_LATE).exists():
            return None
        found = BlocksOnDisk()
        for part in self._beside(layout.TOO_LATE, since):
            found.add(part["late_reward"].to_numpy().astype(np.float64))
        return found.array()

    def _beside(self, name: str, since: int | None, *asked: str) -> Iterator[pl.DataFrame]:
        """Yields what lies beside the judging rows, some at a time: all columns, or these."""
        first, start = self.split_at if since is None else since, 0
        for part in frames(self.folder / name, asked):
            these = True if self.judging is None else pl.Series(self.judging[start : start + len(part)])
            yield part.filter(these, pl.col("at") >= first)
            start += len(part)

    def born(self) -> I64:
        """Returns (A,) when each arm of the catalogue came, UTC µs; 0 where nobody said."""
        return np.array([arm.valid_from for arm in catalogue.read(self.folder / layout.CATALOGUE)], np.int64)

    def chunks(self) -> dataset.EncodedLog:
        """Returns the chunks, which may be read several times, one in memory at a time."""
        arms = catalogue.read(self.folder / layout.CATALOGUE)
        return dataset.EncodedLog(self.folder / layout.ENCODED, self.encoder.catalogue(arms))


def collect(app: str) -> dict[str, Any]:
    """This host's spool → the store."""
    w = Workspace.open(app)
    spool = w.spool()
    try:
        return ship(spool, w.store, host=w.settings.host).to_dict()
    finally:
        spool.close()


def join(app: str, start: str, end: str) -> dict[str, Any]:
    """Returns the interactions of the interval's hours, and the account of every event in them."""
    w, interval = Workspace.open(app), Interval.parse(start, end)
    hours = logged_hours(w.store, start=interval.start, end=interval.end)
    return by_engine.join(w, hours, now=clock.now()).to_dict()


def validate(app: str, start: str, end: str, account: Mapping[str, Any]) -> tuple[QualityReport, str]:
    """Runs Great Expectations on the interval. Returns the report, and the key of its page below `reports/` in the
    store: the caller shows the page first, and then lets `report.or_raise()` speak."""
    w, interval = Workspace.open(app), Interval.parse(start, end)
    hours = to_us(interval.start), to_us(interval.end)
    quarantined = quarantine.states(w.store, list(partitions(w.store, start=interval.start, end=interval.end)))
    with (
        interval_rows(w.store, start=interval.start, end=interval.end) as rows,
        w.report("quality", interval.key) as folder,
        w.quarantine(interval.key) as broken,
    ):
        report = gx.check(
            rows,
            reward=w.spec.reward,
            start=interval.start,
            end=interval.end,
            account=Account.from_dict(account),
            encoder=released_encoder(w),
            arms={arm.arm_id for arm in known_arms(w)},
            earlier=audit_store.elsewhere(w.store, *hours),
            folder=folder,
            quarantine=broken,
            limit=w.spec.quality.quarantine,
            quarantined=quarantined,
            pages=w.settings.quality_pages,
        )
    audit_store.save(w.store, *hours, report.audit)
    _store_quarantined(
        w, report.broken, {hour for hour, of in quarantined.items() if quarantine.STOPPED in of.values()}
    )
    return report, layout.quality_report(interval.key, report.docs_path.name)


def _store_quarantined(w: Workspace, broken: pl.DataFrame, waiting: Collection[str]) -> None:
    """Notes the rows that broke a row rule, hour by hour, and joins the hours of held ones again, without them.
    `waiting`: hours that were stopped before."""
    now, starts = clock.now(), {int(at) // HOUR * HOUR for at in broken["at"]} if len(broken) else set[int]()
    of = {hour_name(at): broken.filter(pl.col("at") // HOUR * HOUR == at) for at in starts}
    for hour in sorted(of.keys() | set(waiting)):
        quarantine.note(w.store, hour, of.get(hour, broken), now=to_us(now))
    for hour, rows in of.items():
        if rows["state"][0] == quarantine.HELD:
            start, most = from_us(hour_start(hour)), w.settings.join_rows
            join_interval(w.store, w.spec.reward, start=start, end=start + timedelta(hours=1), now=now, most=most)


def encode(app: str, start: str, end: str) -> dict[str, Any]:
    """Encode the interval's interactions and keep them in the store, under a key of all they were made from."""
    w, interval = Workspace.open(app), Interval.parse(start, end)
    hours = newest(w.store, start=interval.start, end=interval.end)
    read = {hour: version.version for hour, version in hours.items()}  # `croupier restatements` asks for them
    with log_parts.learnt(w.store, w.spec, hours.values()) as log:
        if not log.rows:
            raise ValueError(f"interactions: found none from {start} to {end}, expected some; has their window passed?")
        encoder = fitted(w, released_encoder(w), log)
        return keep(w, log, encoder, name=interval.key, facts=facts_of(w, start, end), partitions=read)


def facts_of(w: Workspace, start: str, end: str) -> dict[str, Any]:
    """What meta.json says of an interval, and of what was declared when it was encoded."""
    return {"start": start, "end": end, "declared": declared(w.spec)}


def fitted(w: Workspace, running: Encoder | None, log: log_parts.LearntLog) -> Encoder:
    """The encoder of these rows: the running one, grown by their new categories, so that policies of several trainings
    can be judged on one log; fitted on the earlier rows where there is none."""
    if running is None:
        return Encoder.fit(w.spec, log.earlier, w.arms())
    encoder, changes = grown(running, w.spec, log.parts, w.arms())
    for change in changes:
        print(f"{w.settings.app}: {change}")
    return encoder


def declared(spec: AppSpec) -> str:
    """What app.toml says of features; while it stays the same, policies of several releases can share an encoder."""
    parts = spec.model_dump(mode="json", include={"context", "arm", "arm_context", "interactions"})
    return digest([orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()])


def released_encoder(w: Workspace) -> Encoder | None:
    """The current release's, while app.toml declares the same features; None before there is one."""
    number = released.current(w.store)
    try:
        if number is None or released.manifest(w.store, number)["meta"].get("declared") != declared(w.spec):
            return None
        return encoder_at(w, layout.release(number, layout.ENCODER))
    except KeyError:
        return None


def encoder_of(w: Workspace, key: str) -> Encoder | None:
    """The encoder of features `key`, while app.toml declares the same features; None where there are none."""
    try:
        if not key or meta_of(w.store, key).get("declared") != declared(w.spec):
            return None
        return encoder_at(w, layout.features(key, layout.ENCODER))
    except KeyError:
        return None


def encoder_at(w: Workspace, prefix: str) -> Encoder:
    """The encoder that is kept under a prefix. Raises KeyError where there is none."""
    with tempfile.TemporaryDirectory() as scratch:
        return Encoder.load(get_folder(w.store, prefix, Path(scratch)))


def meta_of(store: Store, key: str) -> dict[str, Any]:
    """What encoded features say of themselves. Raises KeyError where there are none of that key."""
    return dict(orjson.loads(store.get(layout.features(key, layout.META))))
