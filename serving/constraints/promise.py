"""What is known of a promise to a declared baseline: its running value so far, counted hour by hour; kept in the store.

constraints/conservative.json   {"promise": name, "declared": {…}, "through": UTC µs, "budget": …, "value": {…}}

Hours are counted in order of time, each once, when it was joined after the reward window of its last decision. An hour
with decisions that is not joined so, or whose validation failed, holds up those behind it: decisions that could be left
out because of what came of them would make the bound untrue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

import numpy as np
import orjson
import polars as pl

from croupier.features.interactions.hours import refused
from croupier.features.interactions.versions import Version, fetched, newest
from croupier.features.log.shipped import DECISION, read_rows
from croupier.features.reward import window_us
from croupier.features.store import layout
from croupier.features.store.partitions import log_between
from croupier.features.store.storage import Conflict, Store
from croupier.features.utc import HOUR, from_us, hour_name, to_us
from croupier.features.workspace import Workspace
from croupier.models.constraints.beside_baseline import BesideBaseline, OnRecord
from croupier.models.constraints.running_value import RunningValue
from croupier.serving.release import bundle_store
from croupier.serving.release.safeguards import Safeguards

COLUMNS = ("at", "release", "propensity", "pass_probability", "conservative")
LOOKED = pl.Schema({name: DECISION[name] for name in COLUMNS} | {"reward": pl.Float64})


@dataclass(frozen=True, kw_only=True, eq=False)
class PromiseLedger:
    """`promise`: its name; `declared`: what was promised; `through`: the end of the hours that were counted (UTC µs);
    `budget`: the highest that was certified so far, in highest rewards; `token`: the store's, of this state."""

    promise: str
    declared: Mapping[str, Any]
    through: int
    value: RunningValue
    budget: float = 0.0
    token: str | None = None

    @classmethod
    def read(cls, store: Store) -> Self | None:
        """The one in the store; None before there is one. Raises ValueError where the object is none."""
        raw, token = store.read(layout.CONSERVATIVE)
        if token is None:
            return None
        body = orjson.loads(raw)
        if not isinstance(body, dict) or sorted(body) != ["budget", "declared", "promise", "through", "value"]:
            raise ValueError(f"{layout.CONSERVATIVE}: found {raw[:60]!r}, expected what a look keeps there")
        if type(body["through"]) is not int or body["through"] % HOUR or type(body["budget"]) not in (int, float):
            raise ValueError(f"{layout.CONSERVATIVE}: found through {body['through']!r}, expected the end of an hour")
        return cls(**body | {"value": RunningValue.of_body(body["value"])}, token=token)

    def kept(self, store: Store) -> bool:
        """Puts it in the place of the state that it was made from; False where another look was faster."""
        names = ("promise", "declared", "through", "budget")
        body = {name: getattr(self, name) for name in names} | {"value": self.value.to_body()}
        try:
            store.swap(layout.CONSERVATIVE, orjson.dumps(body), self.token)
        except Conflict:
            return False
        return True


def promised(w: Workspace) -> tuple[BesideBaseline, dict[str, Any]] | None:
    """The baseline of the current release, and what is promised of it: a change of it begins another promise."""
    number = bundle_store.current(w.store)
    held = Safeguards() if number is None else Safeguards.of(bundle_store.manifest(w.store, number))
    if held.beside is None:
        return None
    declared = {"baseline": held.beside.baseline, "alpha": held.beside.alpha, "confidence": held.safety.confidence}
    return held.beside, declared | {"highest": w.spec.reward.range[1]}


def begun(beside: BesideBaseline, declared: Mapping[str, Any], now: int) -> PromiseLedger:
    """A promise of the decisions from the next hour on."""
    through = (now // HOUR + 1) * HOUR
    value = RunningValue(alpha=beside.alpha, delta=1 - declared["confidence"])
    return PromiseLedger(promise=f"{now:016d}-{beside.name}", declared=declared, through=through, value=value)


def counted(w: Workspace, ledger: PromiseLedger, now: datetime) -> PromiseLedger:
    """The ledger with the hours that can be counted by now."""
    start, window = from_us(ledger.through), window_us(w.spec.reward)
    if to_us(now) < ledger.through + HOUR + window:
        return ledger
    joined, bad = newest(w.store, start=start, end=now), set(refused(w.store, start=start, end=now))
    shipped = log_between(w.store, "decisions", ledger.through, to_us(now))
    mine = _OfPromise(w.store, ledger.declared)
    while (end := ledger.through + HOUR) + window <= to_us(now):
        hour = hour_name(ledger.through)
        version = joined.get(hour)
        if hour in shipped or version is not None:
            if version is None or hour in bad or not _is_complete(version, end + window, to_us(now)):
                break
            ledger = replace(ledger, value=_with(w, ledger.value, version, mine))
        elif end + window + HOUR > to_us(now):
            break  # a host may be late
        ledger = replace(ledger, through=end, budget=max(ledger.budget, ledger.value.budget))
    return ledger


class _OfPromise:
    """Which releases made the promise."""

    def __init__(self, store: Store, declared: Mapping[str, Any]) -> None:
        self._store, self._declared, self._known = store, declared, dict[int, bool]()

    def __call__(self, release: int) -> bool:
        if release not in self._known:
            self._known[release] = self._made(release)
        return self._known[release]

    def _made(self, release: int) -> bool:
        try:
            safety = Safeguards.of(bundle_store.manifest(self._store, release)).safety
        except KeyError:  # pruned: its decisions stay uncounted, at their worst
            return False
        names = {"baseline": safety.baseline, "alpha": safety.conservative, "confidence": safety.confidence}
        return all(self._declared[name] == each for name, each in names.items())


def _with(w: Workspace, value: RunningValue, version: Version, mine: _OfPromise) -> RunningValue:
    """The running value with an hour's decisions. Raises ValueError for a reward outside the declared range."""
    with fetched(w.store, [version.data] if version.rows else []) as paths:
        rows = read_rows(paths, LOOKED).filter(pl.col("conservative") != "").sort("at")
    rows = rows.filter(pl.Series(list(map(mine, rows["release"])), dtype=pl.Boolean))
    records = [record for text in rows["conservative"] if (record := OnRecord.read(text))]
    said = np.array(records, np.float64).reshape(-1, 2)  # share, baseline
    return value.counting(
        rows["reward"].to_numpy() / w.spec.reward.range[1],
        said[:, 1] / rows["propensity"].to_numpy(),
        said[:, 0],
        rows["pass_probability"].to_numpy(),
    )


def _is_complete(version: Version, closed: int, now: int) -> bool:
    """True if an hour whose last window closed at `closed` was joined since, or, an hour later, if it was joined with
    no window open: then nothing more came of it."""
    return version.joined_at >= closed or (now >= closed + HOUR and not version.account["immature"])
