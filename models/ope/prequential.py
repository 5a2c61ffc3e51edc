"""A policy family under judgement: each model is judged on the rows that came after it was trained.

Retraining makes a new model each time; testing each as a new hypothesis spends the error away in a week. What is judged
instead is the family's *procedure*: on each row its policy is the newest model that was trained before that row (the
prequential principle, Dawid 1984). Given the past, the paired DR lift of a row has as its mean the lift of the model of
that moment, so the differences from it are a martingale, and the running mean of lifts has one confidence sequence,
valid at every look and through every retraining (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, arXiv 2103.06476, §2.4
on means that change over time). A family whose models are on average no better than the champion is promoted with
probability at most α in all looks of a process together, however often it is retrained.

    process.json   {"champion", "encoder", "start", "champions": [segment], "candidates": {name: [segment]}}
    segment        {"since": UTC µs, "policy": prefix in the store}

A process lasts `training.days`, or until another family becomes champion; then a new one begins, with α anew. The
champion is a sequence of models, too: its refreshes and catalogue releases do not end a process.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from croupier.features.batch import F64, Interactions
from croupier.features.encoded.on_disk import zeros
from croupier.features.utc import DAY
from croupier.models.constraints.held import DecisionLimits
from croupier.models.ope.rounds import as_served
from croupier.models.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """From `since` (UTC µs) on, the family's policy is the one kept under `policy`: "uniform", or a store prefix."""

    since: int
    policy: str


@dataclass(frozen=True)
class Piecewise:
    """A family's policy through time. `pieces` are (since, how to load the model), oldest first.

    It is judged, never served: what it does on a row depends on the row's time."""

    name: str
    pieces: Sequence[tuple[int, Callable[[], Policy]]]
    _known: dict[float, tuple[Interactions, F64]] = field(default_factory=dict, repr=False, compare=False)

    def served(self, log: Interactions, floor: float, limits: DecisionLimits | None = None) -> F64:
        """Returns (n, K) pmf of each row's own model, as served: with floor, rules and limits. One model is in memory
        at a time. What is asked of the last rows of a log that was asked for before is not computed again.

        Raises ValueError where a row is older than the first model: no model was frozen before it."""
        whole, pmf = self._known.get(floor, (log[:0], log.pmf[:0]))
        if not _ends_with(whole, log):
            whole, pmf = self._known[floor] = log, self._served(log, floor, limits)
        return pmf[len(whole) - len(log) :]

    def _served(self, log: Interactions, floor: float, limits: DecisionLimits | None) -> F64:
        if len(log) and int(log.at.min()) < self.pieces[0][0]:
            found = f"a row at {int(log.at.min())}"
            raise ValueError(f"{self.name}: found {found}, expected none before its first model, {self.pieces[0][0]}")
        out = zeros(log.pmf.shape)
        ends = [since for since, _ in self.pieces[1:]] + [np.iinfo(np.int64).max]
        for (since, load), end in zip(self.pieces, ends, strict=True):
            rows = np.flatnonzero((log.at >= since) & (log.at < end))
            if len(rows):
                one = rows[-1] - rows[0] + 1 == len(rows)  # in order of time: no copy of what the model reads
                out[rows] = as_served(load(), log.batch[slice(rows[0], rows[-1] + 1) if one else rows], floor, limits)
        return out


def _ends_with(whole: Interactions, log: Interactions) -> bool:
    """True if the rows of `log` are the last ones of `whole`."""
    last = whole[len(whole) - len(log) :] if len(log) <= len(whole) else log[:0]
    same = (_equal(getattr(last, name), getattr(log, name)) for name in ("at", "unit", "chosen", "pmf"))
    return len(log) > 0 and all(same) and _equal(last.batch.context, log.batch.context)


def _equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """True if two arrays say the same, which is plain where they are one."""
    return a.__array_interface__ == b.__array_interface__ or np.array_equal(a, b)


@dataclass(frozen=True, kw_only=True)
class Process:
    """What is being judged since `start` (UTC µs): the candidates' families against the champion's, by their models.

    champion is the name of the champion's family; encoder the digest of the newest columns: earlier models read
    their own in them, since an encoder only grows (features/encoding/earlier_columns.py)."""

    champion: str
    encoder: str
    start: int
    champions: tuple[Segment, ...]
    candidates: Mapping[str, tuple[Segment, ...]]
    held_back: bool = False

    @property
    def trained(self) -> list[int]:
        """From when on (UTC µs) there were models that had learnt rows of this process's log: the first ones, then each
        training's."""
        later = {s.since for found in (*self.candidates.values(), self.champions) for s in found}
        return [self.start, *sorted(since for since in later if since > self.start)]

    def continues(self, champion: str, names: Iterable[str], end: int) -> bool:
        """True if models of these families go on in this process, where they find their columns in the new log, which
        ends at `end` (UTC µs). One that begins after it, since a clock was ahead, would judge no row."""
        return self.start <= end and (self.champion, set(self.candidates)) == (champion, set(names))

    def judged_from(self, end: int, days: float) -> Self:
        """Returns the process, or, if it is older than `days` at `end`, the next one: it begins where the newest models
        began."""
        if end - self.start <= days * DAY:
            return self
        newest = min(segments[-1].since for segments in self.candidates.values())
        return replace(self, start=newest)

    def then(self, end: int, champion: str, trained: Mapping[str, str]) -> Self:
        """With the models that were trained on all rows before `end`, for the rows from `end` on. A repeat of the same
        training changes nothing."""
        candidates = {name: _then(self.candidates[name], end, prefix) for name, prefix in trained.items()}
        same = self.champions[-1].policy == champion
        champions = self.champions if same else _then(self.champions, end, champion)
        return replace(self, champions=champions, candidates=candidates)

    def to_json(self) -> bytes:
        """The process as JSON."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Restores a process from JSON."""
        row: dict[str, Any] = orjson.loads(raw)
        row["champions"] = tuple(Segment(**s) for s in row["champions"])
        row["candidates"] = {n: tuple(Segment(**s) for s in found) for n, found in row["candidates"].items()}
        return cls(**row)


def _then(segments: tuple[Segment, ...], since: int, policy: str) -> tuple[Segment, ...]:
    """A model trained later takes over from `since` on; one of the same moment is replaced."""
    return (*(s for s in segments if s.since < since), Segment(since=since, policy=policy))
