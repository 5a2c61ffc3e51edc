"""The gRPC contract in code: columns of tensors in, columns out. What model.py calls; no Triton import, so it is tested
alone. See serving/README.md for the contract in words.

    select_arm   unit_id, context, arms, arm_context?, event_id?
                 → arm, propensity, pmf, event_id, release, role, error
    reward       event_id, kind, value, reward_id?, at? → status, error
    record       unit_id, context, arms, arm_context, event_id, arm, pmf, at, reason → status, error
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.batch import Catalogue
from features.encoder import Encoder
from features.settings import Settings
from features.spec import AppSpec
from features.spool import Spool
from serving import release
from serving.breaker import Breaker
from serving.fast_loop import FastLoop
from serving.live_heads import LiveHeads
from serving.meter import Meter
from serving.records import RawRecord, Records
from serving.requests import Raw, Request, Selection
from serving.rewards import Outcome, RawReward, Rewards
from serving.rollout import RolloutReader
from serving.selector import Selector
from serving.triton import repository
from serving.triton.metrics import Exporter, log_as_json
from serving.triton.repository import SELECT_ARM

SELECT_INPUTS = ("unit_id", "context", "arms", "arm_context", "event_id")
REWARD_INPUTS = ("event_id", "kind", "value", "reward_id", "at")
RECORD_INPUTS = ("unit_id", "context", "arms", "arm_context", "event_id", "arm", "pmf", "at", "reason")
HEADS = "posterior"  # folder of the heads' files, under home
log = logging.getLogger(__name__)
Columns = Mapping[str, NDArray[Any] | None]  # (B, 1) each; None: an optional input that was not sent
Tensors = dict[str, NDArray[Any]]


class SelectArm:
    """One instance of one version of `select_arm`; `args` are those of Triton's initialize(), `pb` its utilities."""

    def __init__(self, args: Mapping[str, str], pb: Any = None) -> None:
        log_as_json()
        meter = Meter()
        model = Path(args["model_repository"])
        home, trial = model.parents[1], args["model_name"].endswith("_trial")
        settings = Settings()
        self.spool = None if trial else open_spool(home, settings)
        loaded = release.load(model / args["model_version"])
        self.selector = Selector(
            loaded, recorder=self.spool,
            rollout=None if trial else RolloutReader(home / "rollout.json"),
            unit_key=settings.unit_key.get_secret_value(), breaker=Breaker(None if trial else home / "breaker.json"),
            heads=LiveHeads(None if trial else home / HEADS, loaded), meter=meter,
        )  # fmt: skip
        self.exporter = Exporter(None if trial else pb, meter)

    def answer(self, calls: Sequence[Columns]) -> list[Tensors]:
        """All calls of one Triton batch as one batch of the selector: one encoding, one product, one transaction."""
        sizes = [len(call["unit_id"]) for call in calls]  # type: ignore[arg-type]
        raws = [Raw(*row) for call, size in zip(calls, sizes, strict=True) for row in _rows(call, SELECT_INPUTS, size)]
        answers = iter(self.selector.select_raw(raws))
        self.exporter.push()
        return [selection_tensors(list(islice(answers, size))) for size in sizes]

    def close(self) -> None:
        self.exporter.push(now=True)
        if self.spool is not None:
            self.spool.close()


class TakeRewards:
    """The instance of `reward`: the only writer of the posterior."""

    def __init__(self, args: Mapping[str, str], pb: Any = None) -> None:
        log_as_json()
        home = Path(args["model_repository"]).parents[1]
        self.spool = open_spool(home, Settings())
        self.meter = Meter()
        self.rewards = Rewards(self.spool, learn=_learner(home, self.spool, self.meter))
        self.exporter = Exporter(pb, self.meter, self.spool)

    def answer(self, calls: Sequence[Columns]) -> list[Tensors]:
        sizes = [len(call["event_id"]) for call in calls]  # type: ignore[arg-type]
        raws = [RawReward(e, k, float(v), i, int(a or 0)) for call, size in zip(calls, sizes, strict=True)
                for e, k, v, i, a in _rows(call, REWARD_INPUTS, size)]  # fmt: skip
        outcomes = self.rewards.take(raws)
        _count(self.meter, "reward", "croupier_rewards_total", outcomes)
        self.exporter.push()
        return _outcome_tensors(outcomes, sizes)

    def close(self) -> None:
        self.exporter.push(now=True)
        self.spool.close()


class TakeRecords:
    """The instance of `record`: what clients decided while nobody answered."""

    def __init__(self, args: Mapping[str, str], pb: Any = None) -> None:
        log_as_json()
        home, settings = Path(args["model_repository"]).parents[1], Settings()
        self.spool = open_spool(home, settings)
        guard = CatalogueGuard(home / "triton" / SELECT_ARM)
        self.meter = Meter()
        self.exporter = Exporter(pb, self.meter)
        self.records = Records(self.spool, unit_key=settings.unit_key.get_secret_value(), guard=guard)

    def answer(self, calls: Sequence[Columns]) -> list[Tensors]:
        sizes = [len(call["event_id"]) for call in calls]  # type: ignore[arg-type]
        raws = [RawRecord(*row) for call, size in zip(calls, sizes, strict=True)
                for row in _rows(call, RECORD_INPUTS, size)]  # fmt: skip
        outcomes = self.records.take(raws)
        _count(self.meter, "record", "croupier_records_total", outcomes)
        self.exporter.push()
        return _outcome_tensors(outcomes, sizes)

    def close(self) -> None:
        self.spool.close()


def _count(meter: Meter, model: str, name: str, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        meter.count(name, fate=outcome.status)
        if outcome.error:
            meter.count("croupier_rejects_total", model=model, field=outcome.error.partition(":")[0])


def _learner(home: Path, spool: Spool, meter: Meter) -> Callable[[], object] | None:
    """The fast loop of the newest release, if the app asks for it."""
    spec = AppSpec.read(home / "app.toml") if (home / "app.toml").exists() else AppSpec()
    if not spec.policies.fast_loop:
        return None
    loops: dict[int, FastLoop] = {}

    def learn() -> None:
        try:
            newest = max(repository.versions(home / "triton", SELECT_ARM), default=0)
            if newest and newest not in loops:
                loops.clear()
                loaded = release.load(home / "triton" / SELECT_ARM / str(newest))
                loops[newest] = FastLoop(home / HEADS, loaded, spool, spec.reward)
            for loop in loops.values():
                loop.learn()
                for role, step in loop.positions():
                    meter.gauge("croupier_posterior_step", step, role=role)
        except Exception:  # the reward is on record: what could not be learnt now is learnt by the next call
            log.exception("the fast loop failed")

    learn()
    return learn


class CatalogueGuard:
    """Features and arms of a record, against the newest release in the repository (none: anything goes)."""

    def __init__(self, model: Path) -> None:
        self._model, self._number = model, 0
        self._encoder: Encoder | None = None
        self._catalogue: Catalogue | None = None

    def __call__(self, request: Request) -> None:
        newest = max(repository.versions(self._model.parent, self._model.name), default=0)
        if newest > self._number:
            loaded = release.load(self._model / str(newest))
            self._number, self._encoder, self._catalogue = newest, loaded.encoder, loaded.catalogue
        if self._encoder is not None:
            self._encoder.validate(request.context, request.arms, request.arm_context, self._catalogue)


def selection_tensors(selections: Sequence[Selection]) -> Tensors:
    """(B, 1) each, `pmf` (B, longest candidate list), zero-padded."""
    pmf = np.zeros((len(selections), max([1, *(len(s.pmf) for s in selections)])))
    for row, s in zip(pmf, selections, strict=True):
        row[: len(s.pmf)] = s.pmf
    return {
        "arm": _text(s.arm for s in selections), "propensity": np.array([[s.propensity] for s in selections]),
        "pmf": pmf, "event_id": _text(s.event_id for s in selections),
        "release": np.array([[s.release] for s in selections], np.int64), "role": _text(s.role for s in selections),
        "error": _text(s.error for s in selections),
    }  # fmt: skip


def _outcome_tensors(outcomes: Sequence[Outcome], sizes: Sequence[int]) -> list[Tensors]:
    rest = iter(outcomes)
    parts = [list(islice(rest, size)) for size in sizes]
    return [{"status": _text(o.status for o in part), "error": _text(o.error for o in part)} for part in parts]


def open_spool(home: Path, settings: Settings) -> Spool:
    """The host's event log, one file for every process of the app."""
    return Spool(home / "spool" / "log.db", durability=settings.durability, max_bytes=settings.spool_max_bytes)


def _rows(call: Columns, names: Sequence[str], size: int) -> Iterable[tuple[Any, ...]]:
    columns = [[b""] * size if (column := call.get(name)) is None else column[:, 0].tolist() for name in names]
    return zip(*columns, strict=True)


def _text(values: Iterable[str]) -> NDArray[Any]:
    return np.array([[value.encode()] for value in values], dtype=np.object_)
