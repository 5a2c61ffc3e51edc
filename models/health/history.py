"""Hourly figures (features/health) as arrays over one grid of hours, so that a month is judged in milliseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64, I64
from croupier.features.utc import HOUR, hour_start

Series = dict[str, F64]  # name → (T, columns)
GROUPS = ("all", "release", "role", "arm", "segment")
EVENTS = ("decisions_in", "rewards_in", "on_time", "late", "orphan")  # of the account, by column
EXPLORE = ("n", "entropy", "greedy", "inverse")


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureHours:
    """A feature over the hours: `counts` (T, B) of the bins or categories `keys`, `rest` (T, 3): values, missing ones,
    rare categories; `reward` (T, 6): see features/health/described.py; `told` (T, 2, B + 2): decisions whose shown arm
    had each value, and those of them with a reward; the last two columns are rare categories and missing values. Hours
    of older versions have zeros there."""

    type: str
    keys: tuple[str, ...]
    counts: F64
    rest: F64
    reward: F64
    told: F64


class CellHours:
    """Each hour's sums by arm within segment. Spans of it share its arrays, which are made when first asked for."""

    def __init__(self, hours: Sequence[Mapping[str, Sequence[float]]], part: slice, made: Series | None = None) -> None:
        self._hours, self._part = hours, part
        self._made: Series = {} if made is None else made

    def span(self, first: int, last: int) -> "CellHours":
        """Returns the hours first ≤ t < last of these."""
        start, stop, _ = slice(first, last).indices(self._part.stop - self._part.start)
        part = slice(self._part.start + start, self._part.start + max(start, stop))
        return CellHours(self._hours, part, self._made)

    def arrays(self) -> Series:
        """Returns "segment|arm" → (T, 4); of those that these hours know."""
        if not self._made:
            self._made |= _table(len(self._hours), 4, list(enumerate(self._hours)))
        cut = {key: x[self._part] for key, x in self._made.items()}
        return {key: x for key, x in cut.items() if x[:, 0].any()}


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """T hours in a row; an hour of which nothing is known has zeros. `start` (T,) is in UTC µs. `sums`: group → key →
    (T, 4), `offered`: arm → (T, 2), `hosts`: host → (T, 4): n, rewarded, median delay and lag (NaN: none), `delay`
    (T, 3): moments of log seconds, `unit` (T, 3), `lift` (T, 3), `account` (T, EVENTS), `explore` (T, EXPLORE).
    `rewards`: bin of the reward (features/health/sketch.py) → (T, 1) decisions; none in hours of older versions.
    `cells`: each hour's sums by arm within segment, which are seldom read, hence arrays only once they are."""

    start: I64
    sums: dict[str, Series]
    offered: Series
    hosts: Series
    features: dict[str, FeatureHours]
    delay: F64
    unit: F64
    lift: F64
    floor: F64
    account: F64
    explore: F64
    rewards: Series
    cells: "CellHours"

    def __len__(self) -> int:
        return len(self.start)

    @property
    def n(self) -> F64:
        """Returns (T,) the decisions of each hour."""
        every = self.sums["all"].get("")
        return np.zeros(len(self)) if every is None else every[:, 0]

    @property
    def release(self) -> list[str]:
        """Returns the release that decided most in each hour; "" where nobody decided."""
        names = sorted(self.sums["release"])
        if not names:
            return [""] * len(self)
        counts = np.stack([self.sums["release"][name][:, 0] for name in names])
        best = counts.argmax(axis=0)
        return [names[k] if counts[k, t] else "" for t, k in enumerate(best)]

    def by_cell(self) -> Series:
        """Returns "segment|arm" → (T, 4) sums."""
        return self.cells.arrays()

    def span(self, first: int, last: int) -> Self:
        """Returns the hours first ≤ t < last, as views."""
        cut = {f.name: _cut(getattr(self, f.name), slice(first, last)) for f in fields(self) if f.name != "cells"}
        return replace(self, **cut, cells=self.cells.span(first, last))

    @classmethod
    def of(cls, hours: Sequence[Mapping[str, Any]]) -> Self:
        """Makes arrays of the figures of hours. Raises ValueError where there is none, or where an hour has no name."""
        if not hours or any("hour" not in h for h in hours):
            raise ValueError(f"health: found {len(hours)} hours, expected some, each with its `hour`; build them first")
        starts = [hour_start(h["hour"]) for h in hours]
        T = (max(starts) - min(starts)) // HOUR + 1
        rows = [((at - min(starts)) // HOUR, h) for at, h in zip(starts, hours, strict=True)]
        cells = {t: h["groups"].get("cell", {}) for t, h in rows}
        return cls(
            start=min(starts) + np.arange(T, dtype=np.int64) * HOUR,
            sums={g: _table(T, 4, [(t, h["groups"].get(g, {})) for t, h in rows]) for g in GROUPS},
            offered=_table(T, 2, [(t, h["explore"]["arms"]) for t, h in rows]),
            hosts=_table(T, 4, [(t, {k: _host(v) for k, v in h["hosts"].items()}) for t, h in rows], nan=(2, 3)),
            features=_features(T, rows),
            delay=_rows(T, 3, [(t, h["delay"]["log"]) for t, h in rows]),
            unit=_rows(T, 3, [(t, list(h["unit"].values())) for t, h in rows]),
            lift=_rows(T, 3, [(t, h["explore"]["lift"]) for t, h in rows]),
            floor=_rows(T, 1, [(t, [h["explore"]["floor"] or np.nan]) for t, h in rows])[:, 0],
            account=_rows(T, len(EVENTS), [(t, [h["account"].get(e, 0) for e in EVENTS]) for t, h in rows]),
            explore=_rows(T, len(EXPLORE), [(t, [h["explore"][e] for e in EXPLORE]) for t, h in rows]),
            rewards=_table(T, 1, [(t, {k: [v] for k, v in h.get("reward", {}).items()}) for t, h in rows]),
            cells=CellHours([cells.get(t, {}) for t in range(T)], slice(0, T)),
        )


def _host(found: Mapping[str, Any]) -> list[float]:
    times = [np.nan if found[k] is None else float(found[k]) for k in ("delay", "lag")]
    return [float(found["n"]), float(found["rewarded"]), *times]


def _cut(value: Any, part: slice) -> Any:
    if isinstance(value, np.ndarray):
        return value[part]
    if isinstance(value, dict):
        return {k: _cut(v, part) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _cut(getattr(value, f.name), part) for f in fields(value)})
    return value


def _rows(T: int, width: int, found: Sequence[tuple[int, Sequence[float]]]) -> F64:
    out = np.zeros((T, width))
    for t, row in found:
        out[t] = row
    return out


def _table(T: int, width: int, found: Sequence[tuple[int, Mapping[str, Any]]], nan: Sequence[int] = ()) -> Series:
    out: Series = {}
    for t, row in found:
        for key, values in row.items():
            if key not in out:
                out[key] = np.zeros((T, width))
                out[key][:, list(nan)] = np.nan
            out[key][t] = values
    return out


def _features(T: int, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, FeatureHours]:
    names = sorted({name for _, h in rows for name in h["features"]})
    return {name: _feature(T, [(t, h["features"][name]) for t, h in rows if name in h["features"]]) for name in names}


def _feature(T: int, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> FeatureHours:
    kind = str(rows[-1][1]["type"])
    found = {key for _, f in rows for key in f["bins"] if f["type"] == kind}
    keys = sorted(found, key=int) if kind == "numeric" else sorted(found)
    place = {key: i for i, key in enumerate(keys)}
    counts = np.zeros((T, len(keys)))
    for t, f in rows:
        if f["type"] == kind:
            counts[t, [place[key] for key in f["bins"]]] = list(f["bins"].values())
    rest = _rows(T, 3, [(t, [f["n"], f["missing"], f["others"]]) for t, f in rows])
    reward = _rows(T, 6, [(t, f.get("reward", [0.0] * 6)) for t, f in rows])
    told = np.zeros((T, 2, len(keys) + 2))
    for t, f in rows:
        if f["type"] == kind and "won" in f:
            for row, part in enumerate((f.get("shown", f), f["won"])):
                told[t, row, [place[key] for key in part["bins"]]] = list(part["bins"].values())
                told[t, row, -2:] = part["others"], part["missing"]
    return FeatureHours(type=kind, keys=tuple(keys), counts=counts, rest=rest, reward=reward, told=told)
